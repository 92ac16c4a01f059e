//! Finds two accesses of one element by different lanes that no barrier orders.

use crate::error::Result;
use crate::memory::reserve;
use crate::program::Combine;
use std::collections::HashMap;

/// What an access does to its element.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Load,
    Store,
    /// The order of two equal updates cannot show.
    Red(Combine),
}

/// One access, and when it happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    /// The number of the block.
    pub block: i64,
    /// Barriers that the block has passed.
    pub interval: u32,
    /// The lane's number in its block.
    pub lane: u32,
    pub kind: Kind,
    pub instruction: u32,
}

impl Event {
    /// Whether nothing says which of the two comes first.
    fn is_unordered(&self, other: &Event) -> bool {
        self.block != other.block || (self.interval == other.interval && self.lane != other.lane)
    }

    fn races(&self, other: &Event) -> bool {
        let harmless = self.kind == other.kind && self.kind != Kind::Store;
        !harmless && self.is_unordered(other)
    }
}

/// What is remembered of one element: enough to find a race with any later access.
#[derive(Debug)]
enum Seen {
    One(Event),
    Many(Vec<Event>),
}

/// An element: a buffer's (or shared array's) place in the program, and its number in row-major order.
pub type Element = (u16, u64);

/// The accesses of a launch to buffers that it writes, or of a block to its shared memory.
#[derive(Debug, Default)]
pub struct Races {
    seen: HashMap<Element, Seen>,
}

impl Races {
    /// Notes an access; the answer is an earlier one that it races with.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory): every element that is accessed is remembered.
    pub fn access(&mut self, element: Element, event: Event) -> Result<Option<Event>> {
        use std::collections::hash_map::Entry;
        let known = self.seen.len();
        if known == self.seen.capacity() {
            reserve::ensure("check_races", 2 * (known + 1) * size_of::<(Element, Seen)>())?;
        }
        match self.seen.entry(element) {
            Entry::Vacant(place) => {
                place.insert(Seen::One(event));
                Ok(None)
            }
            Entry::Occupied(mut place) => {
                let seen = place.get_mut();
                if let Seen::One(earlier) = *seen {
                    if earlier.block == event.block
                        && earlier.lane == event.lane
                        && earlier.kind == event.kind
                    {
                        // The same lane again: the later one stands for both.
                        *seen = Seen::One(event);
                        return Ok(None);
                    }
                    let mut events = Vec::new();
                    reserved(&mut events)?;
                    events.push(earlier);
                    *seen = Seen::Many(events);
                }
                let Seen::Many(events) = seen else { return Ok(None) };
                let found = events.iter().find(|e| e.races(&event)).copied();
                reserved(events)?;
                remember(events, event);
                Ok(found)
            }
        }
    }

    /// Forgets everything: a new block has new shared memory.
    pub fn clear(&mut self) {
        self.seen.clear();
    }
}

/// Makes room for one more.
fn reserved(events: &mut Vec<Event>) -> Result<()> {
    events.try_reserve(1).map_err(|_| reserve::exhausted("check_races", size_of::<Event>()))
}

/// Adds an access, and drops those that it stands for. Blocks come one after the other, so of each kind three
/// are enough: two lanes of the latest interval, since one of them is not the lane that comes next, and one
/// access of another block.
fn remember(events: &mut Vec<Event>, event: Event) {
    let (mut others, mut lanes, mut known) = (0, 0, false);
    events.retain(|e| {
        if e.kind != event.kind {
            return true;
        }
        if e.block != event.block {
            others += 1;
            return others == 1;
        }
        if e.interval != event.interval {
            return false;
        }
        lanes += 1;
        known |= e.lane == event.lane;
        true
    });
    if lanes < 2 && !known {
        events.push(event);
    }
}
