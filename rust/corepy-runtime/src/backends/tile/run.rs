//! One launch: its tiles, what all of them share, and how they are spread over the threads.

use super::Prepared;
use super::decode::{Decoded, Op};
use super::lanes::{self, Active, Set};
use super::machine::{Halt, Machine};
use crate::backends::fault::{LaneFault, LaunchError};
use crate::backends::launch::{Grid, Launch};
use crate::generated::abi;
use crate::kernels::level;
use crate::lock::Lock;
use crate::memory::arena::with_arena;
use crate::program::{Place, Special};
use crate::scheduler::{self, Flow, cost};
use std::sync::atomic::{AtomicI64, Ordering};

/// Bytes of tiles that a thread should work on: a quarter of a second-level cache of 1 MiB.
const WORKING_SET: usize = 256 << 10;
/// Claims for each thread, so that one that is slow leaves the others something to do.
const CLAIMS: usize = 4;

/// What all threads of a launch share.
pub struct Run<'a> {
    pub launch: &'a Launch,
    pub prepared: &'a Prepared,
    pub level: &'static level::Level,
    pub table: &'static abi::kernels,
    pub code: &'a Decoded,
    pub grid: Grid,
    pub flat: bool,
    /// Lane slots of a block.
    pub block_size: usize,
    /// Blocks of a tile, and its lane slots at most.
    pub blocks: i64,
    pub lanes: usize,
    /// Of a flat launch: tiles in a row of the grid.
    per_row: i64,
    /// Tiles that one claim takes.
    claim: i64,
    /// Whether other threads may work beside this one.
    pub parallel: bool,
    /// The lowest tile that has a fault.
    lowest: AtomicI64,
    fault: Lock<Option<Box<LaneFault>>>,
}

/// Runs every lane of a launch.
pub fn run(prepared: &Prepared, launch: &Launch) -> Result<(), LaunchError> {
    let grid = *launch.grid();
    let count = grid.block_count();
    if count == 0 {
        return Ok(());
    }
    let level = level::in_use();
    let flat = grid.block[1] == 1 && grid.block[2] == 1;
    let code = prepared.form(launch.program(), level, flat, false);
    let block_size = grid.block_size();
    let mut blocks = if code.alone { 1 } else { (most_lanes(code) / block_size).max(1) as i64 };
    let (tiles, per_row);
    if flat {
        blocks = blocks.min(grid.blocks[0]);
        per_row = (grid.blocks[0] as u64).div_ceil(blocks as u64) as i64;
        tiles = per_row * grid.blocks[1] * grid.blocks[2];
    } else {
        blocks = blocks.min(count);
        per_row = 1;
        tiles = (count as u64).div_ceil(blocks as u64) as i64;
    }
    let mut lanes = block_size * blocks as usize;
    if flat {
        lanes = lanes.min(usize::try_from(grid.lanes[0]).unwrap_or(lanes));
    }
    let tile_ns = code.lane_ns * lanes as f64;
    let serial = has_unaligned_sums(launch, code);
    let share = tiles as u64 / (CLAIMS * scheduler::threads()) as u64;
    let claim = (cost::tile(tile_ns, cost::LONG_TILE_NS) as u64).min(share).max(1) as i64;
    let (claim, claims) = if serial { (tiles, 1) } else { (claim, (tiles as u64).div_ceil(claim as u64)) };
    let run = Run {
        launch,
        prepared,
        level,
        table: level.table,
        code,
        grid,
        flat,
        block_size,
        blocks,
        lanes,
        per_row,
        claim,
        parallel: claims > 1,
        lowest: AtomicI64::new(i64::MAX),
        fault: Lock::new(None),
    };
    scheduler::run(claims as usize, tile_ns * tiles as f64, &|claim| {
        let first = claim as i64 * run.claim;
        run.tiles(first, tiles.min(first.saturating_add(run.claim)))
    })?;
    match run.fault.into_inner() {
        Some(fault) => Err(LaunchError::Fault(fault)),
        None => Ok(()),
    }
}

/// Lanes of a tile whose registers stay in the cache.
fn most_lanes(code: &Decoded) -> usize {
    let bytes: usize = code.tiles.iter().map(|&bytes| usize::from(bytes)).sum();
    (WORKING_SET / bytes.max(1)).clamp(256, lanes::MOST) / 64 * 64
}

/// Whether a `red` goes to elements that the processor cannot update atomically.
fn has_unaligned_sums(launch: &Launch, code: &Decoded) -> bool {
    code.ops.iter().any(|op| match op {
        Op::Combine { access, .. } => {
            launch.buffers().get(access.array as usize).is_some_and(|tensor| !tensor.is_aligned())
        }
        _ => false,
    })
}

impl Run<'_> {
    fn tiles(&self, first: i64, end: i64) -> Flow {
        with_arena(|arena| {
            let mut machine = Machine::new(self, arena, end - first);
            for tile in first..end {
                if self.is_beyond_fault(tile) {
                    break;
                }
                match machine.run(tile) {
                    Ok(None) => {}
                    Ok(Some(fault)) => {
                        self.report(tile, fault);
                        return Flow::Stop;
                    }
                    Err(Halt) => return Flow::Stop,
                }
            }
            machine.finish();
            Flow::Continue
        })
    }

    /// Whether a lower tile has a fault, which goes before everything that this one could do.
    pub fn is_beyond_fault(&self, tile: i64) -> bool {
        self.lowest.load(Ordering::Relaxed) < tile
    }

    fn report(&self, tile: i64, fault: Box<LaneFault>) {
        let mut found = self.fault.lock();
        if tile < self.lowest.load(Ordering::Relaxed) {
            self.lowest.store(tile, Ordering::Relaxed);
            *found = Some(fault);
        }
    }

    /// The blocks of a tile: the number of the first and its place, and how many there are.
    pub fn blocks_of(&self, tile: i64) -> (i64, [i64; 3], i64) {
        let [x, y, z] = self.grid.blocks;
        if self.flat && y == 1 && z == 1 {
            let first = tile * self.blocks;
            return (first, [first, 0, 0], self.blocks.min(x - first));
        }
        let (first, end) = if self.flat {
            let (row, start) = (tile / self.per_row, tile % self.per_row * self.blocks);
            (row * x + start, row * x + x)
        } else {
            (tile * self.blocks, self.grid.block_count())
        };
        (first, self.grid.block_at(first), self.blocks.min(end - first))
    }

    /// Whether all lanes of a tile are there.
    pub fn is_whole(&self, place: [i64; 3], blocks: i64) -> bool {
        let [left, width] = [self.grid.lanes[0] - place[0] * self.grid.block[0], self.grid.block[0]];
        self.flat && self.lanes as i64 <= left && self.lanes as i64 <= blocks * width
    }

    /// The lanes of a tile that are in the grid.
    pub fn present(&self, first: i64, place: [i64; 3], blocks: i64) -> Active {
        if self.flat {
            let x = place[0] * self.grid.block[0];
            let end = (self.grid.lanes[0] - x).min(blocks * self.grid.block[0]) as usize;
            return Active { set: Set::range(0, end), lo: 0, hi: end, dense: true };
        }
        let [width, height, depth] = self.grid.block;
        let mut set = Set::NONE;
        for number in 0..blocks {
            let place = self.grid.block_at(first + number);
            let left: [i64; 3] = std::array::from_fn(|a| self.grid.lanes[a] - place[a] * self.grid.block[a]);
            let start = number as usize * self.block_size;
            if left[0] >= width && left[1] >= height && left[2] >= depth {
                set.add_range(start, start + self.block_size);
                continue;
            }
            for z in 0..depth.min(left[2]) {
                for y in 0..height.min(left[1]) {
                    let row = start + ((z * height + y) * width) as usize;
                    set.add_range(row, row + width.min(left[0]) as usize);
                }
            }
        }
        Active::new(set)
    }

    /// The value of a special register that all lanes of a tile have, or that its first lane has, by the place of its
    /// first block.
    pub fn special(&self, special: Special, place: [i64; 3]) -> i64 {
        let axis = usize::from(special.axis);
        match special.what {
            Place::Lanes => self.grid.block[axis],
            Place::Blocks => self.grid.blocks[axis],
            Place::Grid => self.grid.lanes[axis],
            Place::Block => place[axis],
            Place::Lane => 0,
            Place::Gid => place[axis] * self.grid.block[axis],
        }
    }

    /// The end of the values that a special register has in any lane.
    pub fn end_of(&self, special: Special) -> i64 {
        let axis = usize::from(special.axis);
        match special.what {
            Place::Lanes => self.grid.block[axis].saturating_add(1),
            Place::Blocks => self.grid.blocks[axis].saturating_add(1),
            Place::Grid => self.grid.lanes[axis].saturating_add(1),
            Place::Block => self.grid.blocks[axis],
            Place::Lane => self.grid.block[axis],
            Place::Gid => self.grid.lanes[axis],
        }
    }
}
