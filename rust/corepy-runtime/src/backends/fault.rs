//! What ends a launch while it runs, and where.

use crate::error::Error;
use crate::generated::lanes::Fault;
use crate::layout;
use crate::trace::Outcome;
use std::fmt;

/// A place in a grid, (x, y, z).
pub type Place = [i64; 3];

/// A place as messages show it.
pub fn show(place: Place) -> String {
    layout::show(&place)
}

/// The access that a fault is about.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultAccess {
    /// The buffer or shared array.
    pub buffer: String,
    pub index: Vec<i64>,
    pub shape: Vec<i64>,
}

/// Two accesses of one element that no barrier orders.
#[derive(Clone, Debug, PartialEq)]
pub struct RacePair {
    /// The lanes in the grid: of the access that came first when the lanes ran one after the other, and of the other.
    pub lanes: [Place; 2],
    pub lines: [u32; 2],
}

/// A fault of one lane; `Display` is the exact message.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneFault {
    pub kernel: String,
    /// The line in the text that was parsed.
    pub line: u32,
    pub instruction: String,
    /// The lane in the grid.
    pub lane: Place,
    pub block: Place,
    pub what: Fault,
    pub access: Option<FaultAccess>,
    /// Of a race: the two accesses. The fault's own line and lane are those of the second.
    pub race: Option<RacePair>,
}

impl fmt::Display for LaneFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lane, block) = (show(self.lane), show(self.block));
        write!(
            f,
            "[{}] line {}: {}: lane {lane} of block {block}: ",
            self.kernel, self.line, self.instruction
        )?;
        self.what.fmt(f)
    }
}

impl std::error::Error for LaneFault {}

impl Outcome for Option<Box<LaneFault>> {
    fn ended(&self) -> &'static str {
        match self {
            None => "ok",
            Some(fault) if fault.race.is_some() => "RaceError",
            Some(_) => "LaneFault",
        }
    }
}

/// Why a launch did not do its work.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LaunchError {
    /// Nothing ran, or the launch was interrupted.
    #[error(transparent)]
    Refused(#[from] Error),
    /// What the buffers hold is unspecified.
    #[error(transparent)]
    Fault(#[from] Box<LaneFault>),
}
