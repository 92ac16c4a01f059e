//! What a thread prepares before it runs tiles: memory of registers, arrays, sums of its own, special registers.

use super::decode::{Decoded, is_of_launch, slot_of};
use super::machine::{Array, Frame, Machine, Private};
use super::run::Run;
use crate::kernels;
use crate::memory::arena::Arena;
use crate::program::{Place, Special};

/// Most bytes of such a copy: with the tiles it stays in the cache.
const PRIVATE_BYTES: usize = 64 << 10;

impl<'a> Machine<'a> {
    /// Memory for the registers of a decoded form, with what is the same for the whole launch.
    pub fn frame(run: &Run<'_>, arena: &Arena, code: &'a Decoded) -> Frame<'a> {
        let slots = arena.scratch(8 * code.slots.len()).as_ptr().cast::<u64>();
        let count = code.tiles.len() + code.aliases as usize;
        let pointers = arena.scratch(8 * count).as_ptr().cast::<*mut u8>();
        // A cache line more than the lanes need, so that tiles do not all begin at the same place of a page.
        let size = |bytes: u8| (run.lanes * usize::from(bytes)).next_multiple_of(64) + 64;
        let total = code.tiles.iter().map(|&bytes| size(bytes)).sum();
        let mut at = arena.scratch(total).as_ptr();
        // SAFETY: scratch of these lengths, which nobody else has; the tiles' sizes add up to the last one's.
        unsafe {
            slots.copy_from_nonoverlapping(code.slots.as_ptr(), code.slots.len());
            for (i, &bytes) in code.tiles.iter().enumerate() {
                pointers.add(i).write(at);
                at = at.add(size(bytes));
            }
            for alias in code.tiles.len()..count {
                pointers.add(alias).write(std::ptr::null_mut());
            }
        }
        let frame = Frame { code, pointers, slots };
        for &(slot, param) in &code.params {
            frame.set_slot(slot, slot_of(run.launch.params()[usize::from(param)]));
        }
        for &(slot, buffer, axis) in &code.extents {
            let shape = run.launch.buffers()[usize::from(buffer)].shape();
            frame.set_slot(slot, shape[usize::from(axis)] as u64);
        }
        for &(slot, special) in &code.special_slots {
            frame.set_slot(slot, run.special(special, [0; 3]) as u64);
        }
        frame
    }

    pub fn describe_arrays(&mut self) {
        let (launch, program) = (self.run.launch, self.run.launch.program());
        let mut at = self.arrays;
        let mut add = |array: Array| {
            // SAFETY: there is room for every buffer and shared array.
            unsafe {
                at.write(array);
                at = at.add(1);
            }
        };
        let none = [0; crate::program::MAX_AXES];
        for tensor in launch.buffers() {
            let (mut extents, mut strides, axes) = (none, none, tensor.ndim());
            extents[..axes].copy_from_slice(tensor.shape());
            // An axis of one element may have any stride, with which offsets would wrap around.
            for axis in (0..axes).filter(|&axis| extents[axis] > 1) {
                strides[axis] = tensor.strides()[axis];
            }
            let (aligned, atomic) = (tensor.is_aligned(), self.run.parallel);
            add(Array { data: tensor.data(), extents, strides, aligned, atomic });
        }
        for array in program.shared() {
            let (mut extents, mut strides, axes) = (none, none, array.extents.len());
            extents[..axes].copy_from_slice(&array.extents);
            let mut stride = array.ty.bytes() as i64;
            for axis in (0..axes).rev() {
                strides[axis] = stride;
                stride *= extents[axis];
            }
            let data = self.shared.wrapping_add(array.offset);
            add(Array { data, extents, strides, aligned: true, atomic: false });
        }
    }

    /// Makes own copies of the sums for which that pays.
    pub fn keep_sums(&mut self, tiles: i64) {
        let lanes = (tiles as u128) * self.run.lanes as u128;
        for &(buffer, op, ty, identity) in &self.run.code.sums {
            let tensor = &self.run.launch.buffers()[usize::from(buffer)];
            let bytes = tensor.size() * ty.bytes();
            let pays = bytes <= PRIVATE_BYTES && lanes >= 4 * tensor.size() as u128 && tensor.size() > 0;
            let Some(free) = self.private.iter_mut().find(|p| p.is_none()) else { return };
            if !pays || !tensor.is_contiguous() {
                continue;
            }
            let data = self.arena.scratch(bytes).as_ptr();
            let value = slot_of(identity);
            // SAFETY: scratch for as many elements.
            unsafe { kernels::fill(ty.dtype())(data, std::ptr::from_ref(&value).cast(), tensor.size()) };
            let (buffer, elements) = (usize::from(buffer), tensor.size());
            *free = Some(Private { buffer, data, elements, ty, op, identity });
            // SAFETY: the place of a buffer.
            let array = unsafe { &mut *self.arrays.add(buffer) };
            (array.data, array.atomic) = (data, false);
        }
    }

    /// Adds this thread's sums to everybody's.
    pub fn finish(&mut self) {
        for private in self.private.iter().flatten() {
            let tensor = &self.run.launch.buffers()[private.buffer];
            let bytes = private.ty.bytes();
            let Some(kernel) = self.table.lane_combine[private.op as usize][private.ty.dtype().number()]
            else {
                continue;
            };
            let (index, identity) = (0i64, slot_of(private.identity).to_ne_bytes());
            for i in 0..private.elements {
                // SAFETY: element i of a contiguous tensor and of its copy, both aligned.
                unsafe {
                    let (to, from) = (tensor.data().add(i * bytes), private.data.add(i * bytes));
                    // An element that no lane names keeps every bit, those of a NaN too.
                    if std::slice::from_raw_parts(from, bytes) != &identity[..bytes] {
                        kernel(to, from, 1, &raw const index, std::ptr::null(), 1, 0, 1);
                    }
                }
            }
        }
    }

    /// Fills the tiles of places in the block, which are the same for every tile.
    pub fn fill_places(&self, frame: Frame<'a>) {
        for (tile, special) in frame.code.special_tiles.iter().enumerate() {
            if special.what == Place::Lane {
                self.each_lane(frame, tile, *special, |_, local| local);
            }
        }
    }

    /// Sets what special registers are in this tile.
    pub fn fill_tile_specials(&self, frame: Frame<'a>) {
        for &(slot, special) in &frame.code.special_slots {
            if !is_of_launch(special) {
                frame.set_slot(slot, self.run.special(special, self.place) as u64);
            }
        }
        for (tile, special) in frame.code.special_tiles.iter().enumerate() {
            let (axis, extent) = (usize::from(special.axis), self.run.grid.block[usize::from(special.axis)]);
            let grid = &self.run.grid;
            match special.what {
                Place::Gid => self.each_lane(frame, tile, *special, |block, local| {
                    grid.block_at(self.first + block)[axis] * extent + local
                }),
                Place::Block => {
                    self.each_lane(frame, tile, *special, |block, _| grid.block_at(self.first + block)[axis])
                }
                _ => {}
            }
        }
    }

    fn each_lane(&self, frame: Frame<'a>, tile: usize, special: Special, f: impl Fn(i64, i64) -> i64) {
        let [width, height, _] = self.run.grid.block.map(|e| e as usize);
        let out = frame.pointer(tile as u32).cast::<i64>();
        let (size, lanes) = (self.run.block_size, self.run.lanes);
        for block in 0..lanes.div_ceil(size) {
            let (start, count) = (block * size, size.min(lanes - block * size));
            // In blocks that are not there nothing looks at it.
            let there = (block as i64).min(self.blocks.max(1) - 1);
            let base = f(there, 0);
            // The value rises with the place on the axis by one, or not at all.
            let by = f(there, 1).wrapping_sub(base);
            let (mut x, mut y, mut z) = (0, 0, 0);
            for lane in start..start + count {
                let local = [x, y, z][usize::from(special.axis)];
                // SAFETY: the tile has an element for every lane.
                unsafe { out.add(lane).write(base.wrapping_add(by * local)) };
                x += 1;
                if x == width as i64 {
                    (x, y) = (0, y + 1);
                    if y == height as i64 {
                        (y, z) = (0, z + 1);
                    }
                }
            }
        }
    }
}
