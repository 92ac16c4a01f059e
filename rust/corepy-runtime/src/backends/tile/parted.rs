//! The way out where lanes may wait anywhere: every register gets a tile of its own.
//!
//! A program is decoded for lanes of which the lowest step runs first. Where lanes at lower steps wait for a
//! barrier, or have run for so long that others must have a turn, that does not hold any more. The tile then goes on
//! with another decoded form of the same steps, in which every write spares the lanes that do not run.

use super::analysis::Class;
use super::decode::Target;
use super::machine::{Frame, Machine};

impl<'a> Machine<'a> {
    /// Goes on in the form that assumes nothing of where lanes wait.
    pub fn part(&mut self) {
        let run = self.run;
        let code = run.prepared.form(run.launch.program(), run.level, run.flat, true);
        if std::ptr::eq(self.frame.code, code) {
            return;
        }
        let frame = match self.parted {
            Some(frame) => frame,
            None => {
                let frame = Machine::frame(run, self.arena, code);
                self.fill_places(frame);
                self.parted = Some(frame);
                frame
            }
        };
        self.fill_tile_specials(frame);
        for register in 0..code.registers.len() {
            self.move_register(register, frame);
        }
        self.frame = frame;
    }

    /// Copies a register of all lanes; what it holds in lanes that have not written it is not read.
    fn move_register(&self, register: usize, to: Frame<'a>) {
        let (before, class, bytes) = self.frame.code.registers[register];
        let Target::Tile(tile) = to.code.registers[register].0 else { return };
        let (out, bytes, lanes) = (to.pointer(tile), usize::from(bytes), self.run.lanes);
        match (before, class) {
            (Target::Slot(slot), Class::Affine(step)) if step != 0 => {
                self.ramp(out, self.frame.index(slot), step, 0, lanes);
            }
            (Target::Slot(slot), _) => self.fill(out, self.frame.slot_pointer(slot), bytes, lanes),
            (Target::Tile(from), _) => {
                // SAFETY: both tiles have an element for every lane.
                unsafe { out.copy_from_nonoverlapping(self.frame.pointer(from), lanes * bytes) };
            }
            (Target::Alias { alias, .. }, _) => {
                let from = self.frame.pointer(alias);
                if from.is_null() {
                    return;
                }
                let place = alias as usize - self.frame.code.tiles.len();
                // SAFETY: there are lanes for every alias whose pointer is set; between them the pointer is that of
                // elements of a buffer or of a tile.
                unsafe {
                    let (lo, hi) = *self.alias_lanes.add(place);
                    let (lo, hi) = (lo as usize, hi as usize);
                    let from = from.wrapping_add(lo * bytes);
                    out.add(lo * bytes).copy_from_nonoverlapping(from, (hi - lo) * bytes);
                }
            }
            (Target::Nowhere, _) => {}
        }
    }
}
