//! Loads, stores and updates of buffers and shared arrays.
//!
//! Indices are checked once a tile where they are one value or rise evenly with the lane, else lane by lane, and
//! only for lanes that run. An element that no running lane names is neither written nor written back.

use super::decode::{Access, Count, Read, Source, Target, Write};
use super::lanes::Active;
use super::machine::{Array, Machine, NOBODY};
use crate::generated::abi;
use crate::generated::ops::Binary;
use crate::kernels::Form;
use crate::program::{MAX_AXES, Type};

/// The elements that an access names, one for each active lane.
enum Elements {
    /// One for all.
    One(*mut u8),
    /// Evenly spaced: that of lane 0, which need not be there, and the distance.
    Strided(*mut u8, i64),
    /// At `base + index * stride`; the first index is that of the first active lane.
    Indexed { base: *mut u8, index: *const i64, stride: i64 },
}

/// What a value that rises with the lane is in a lane; None where it would wrap around.
#[inline]
fn value_at(first: i64, rise: i64, lane: usize) -> Option<i64> {
    first.checked_add(rise.checked_mul(lane as i64)?)
}

const I64: usize = Type::I64.dtype() as usize;

impl<'a> Machine<'a> {
    fn array(&self, access: &Access) -> &'a Array {
        // SAFETY: decoded accesses name arrays that are there; they are written before the first tile runs, and lie
        // in scratch of the thread.
        unsafe { &*self.arrays.add(access.array as usize) }
    }

    /// The element of lane 0, and the distances between elements on the axes of the block, of an access whose indices
    /// are places there: if the tile is one block, all of whose lanes are active and within bounds.
    fn by_block(&self, access: &Access) -> Option<(*mut u8, [i64; 3])> {
        let Active { lo, hi, dense, .. } = self.active;
        if !dense || lo > 0 || hi != self.run.block_size || self.run.blocks > 1 {
            return None;
        }
        let (array, block) = (self.array(access), self.run.grid.block);
        let (mut base, mut by) = (array.data, [0i64; 3]);
        for (axis, index) in access.index.iter().enumerate() {
            let (extent, stride) = (array.extents[axis], array.strides[axis]);
            let first = match (index.from, index.special) {
                (Source::Slot(slot), _) => {
                    Some(self.frame.index(slot)).filter(|i| (0..extent).contains(i))?
                }
                (Source::Tile(_), Some(special)) => {
                    let along = usize::from(special.axis);
                    let first = self.run.special(special, self.place);
                    if first + block[along] > extent {
                        return None;
                    }
                    by[along] = by[along].wrapping_add(stride);
                    first
                }
                _ => return None,
            };
            base = base.wrapping_offset(first.wrapping_mul(stride) as isize);
        }
        Some((base, by))
    }

    /// The distance between the elements of neighbours, where it is the same for all lanes of a block.
    fn even(&self, by: [i64; 3]) -> Option<i64> {
        let [width, height, depth] = self.run.grid.block;
        let is_even = |extent: i64, by: i64, below: i64| extent == 1 || by == below;
        let each = by[0];
        let along = is_even(height, by[1], each.wrapping_mul(width))
            && is_even(depth, by[2], each.wrapping_mul(width * height));
        along.then_some(each)
    }

    /// Finds the elements of an access and checks the indices; None where no lane is left that passes.
    fn locate(&mut self, access: &Access, step: u32) -> Option<Elements> {
        if access.by_block
            && let Some((at, by)) = self.by_block(access)
            && let Some(stride) = self.even(by)
        {
            return Some(Elements::Strided(at, stride));
        }
        let array = self.array(access);
        let (mut base, mut by) = (array.data, 0i64);
        let (mut varying, mut is_one) = (0, true);
        for (axis, index) in access.index.iter().enumerate() {
            let (extent, stride) = (array.extents[axis], array.strides[axis]);
            match index.from {
                Source::Slot(slot) => {
                    let i = self.frame.index(slot);
                    if !(0..extent).contains(&i) {
                        self.fail_access(step, self.active.lo, access);
                        return None;
                    }
                    base = base.wrapping_offset((i * stride) as isize);
                }
                Source::Affine { slot, step: rise } => {
                    is_one = false;
                    let first = self.frame.index(slot);
                    let inside =
                        |lane: usize| value_at(first, rise, lane).is_some_and(|i| (0..extent).contains(&i));
                    if !inside(self.active.lo) || !inside(self.active.hi - 1) {
                        let fits = |lane: usize| value_at(first, rise, lane).is_some();
                        if !fits(self.active.lo) || !fits(self.active.hi - 1) {
                            return self.locate_lane_by_lane(access, step);
                        }
                        let wrong = self.active.set.lanes().find(|&lane| !inside(lane));
                        if let Some(lane) = wrong {
                            self.fail_access(step, lane, access);
                            if self.active.is_empty() {
                                return None;
                            }
                        }
                    }
                    base = base.wrapping_offset(first.wrapping_mul(stride) as isize);
                    by = by.wrapping_add(rise.wrapping_mul(stride));
                }
                Source::Tile(tile) => {
                    is_one = false;
                    varying += 1;
                    if index.special.is_some_and(|special| self.run.end_of(special) <= extent) {
                        continue;
                    }
                    let Active { lo, .. } = self.active;
                    let values = self.frame.pointer(tile).wrapping_add(8 * lo);
                    let (n, mask) = (self.active.len(), self.mask_from(lo));
                    // SAFETY: an index and a mask byte for each lane of the range.
                    let wrong =
                        self.table.lane_bounds.map_or(0, |k| unsafe { k(values.cast(), mask, n, extent) });
                    if wrong < n as u64 {
                        self.fail_access(step, lo + wrong as usize, access);
                        if self.active.is_empty() {
                            return None;
                        }
                    }
                }
            }
        }
        if is_one {
            return Some(Elements::One(base));
        }
        if varying == 0 {
            return Some(Elements::Strided(base, by));
        }
        Some(self.indexed(access, array, base, by, varying))
    }

    /// The offsets of elements of which some index is each lane's own.
    fn indexed(
        &mut self,
        access: &Access,
        array: &Array,
        mut base: *mut u8,
        by: i64,
        varying: usize,
    ) -> Elements {
        let Active { lo, .. } = self.active;
        let n = self.active.len();
        let tiles = access.index.iter().enumerate().filter_map(|(axis, index)| match index.from {
            Source::Tile(tile) => Some((self.frame.pointer(tile).wrapping_add(8 * lo), array.strides[axis])),
            _ => None,
        });
        let mut found = [(std::ptr::null_mut(), 0); MAX_AXES];
        for (at, tile) in found.iter_mut().zip(tiles) {
            *at = tile;
        }
        if varying == 1 && by == 0 {
            let (index, stride) = found[0];
            return Elements::Indexed { base, index: index.cast(), stride };
        }
        let offsets = self.temps[1];
        let scaled = self.table.binary[Binary::Multiply as usize][I64][Form::VectorScalar as usize];
        let (index, stride) = found[0];
        // SAFETY: an index for each lane of the range; scratch for as many offsets.
        unsafe {
            if let Some(kernel) = scaled {
                kernel(offsets, index, (&raw const stride).cast(), n);
            }
            // Forms: vvv vvs vsv vss ssv.
            if let Some(kernel) = self.table.multiply_add[I64][2] {
                for (index, stride) in &found[1..varying] {
                    kernel(offsets, *index, std::ptr::from_ref(stride).cast(), offsets, n);
                }
            }
            if by != 0 {
                // From the first element on, which kernels read for lanes that do not run: that of lane 0 may lie
                // anywhere.
                let ahead = base.addr().wrapping_sub(array.data.addr()) as i64;
                base = array.data;
                self.ramp(self.temps[2], ahead, by, lo, n);
                let plus = self.table.binary[Binary::Add as usize][I64][Form::VectorVector as usize];
                if let Some(kernel) = plus {
                    kernel(offsets, offsets, self.temps[2], n);
                }
            }
        }
        Elements::Indexed { base, index: offsets.cast(), stride: 1 }
    }

    /// As `locate`, for indices that wrap around on their way over the lanes.
    fn locate_lane_by_lane(&mut self, access: &Access, step: u32) -> Option<Elements> {
        let array = self.array(access);
        let offsets = self.temps[1].cast::<i64>();
        let (set, lo) = (self.active.set, self.active.lo);
        for lane in set.lanes() {
            let mut offset = 0i64;
            for (axis, index) in access.index.iter().enumerate() {
                let i = self.index_of(index.from, lane);
                if !(0..array.extents[axis]).contains(&i) {
                    self.fail_access(step, lane, access);
                    if self.active.is_empty() {
                        return None;
                    }
                    return Some(Elements::Indexed { base: array.data, index: offsets, stride: 1 });
                }
                offset += i * array.strides[axis];
            }
            // SAFETY: scratch of an offset for each lane.
            unsafe { offsets.add(lane - lo).write(offset) };
        }
        Some(Elements::Indexed { base: array.data, index: offsets, stride: 1 })
    }

    /// The value of an index in a lane.
    pub fn index_of(&self, from: Source, lane: usize) -> i64 {
        match from {
            Source::Slot(slot) => self.frame.index(slot),
            Source::Affine { slot, step } => {
                self.frame.index(slot).wrapping_add(step.wrapping_mul(lane as i64))
            }
            Source::Tile(tile) => self.frame.index_at(self.frame.pointer(tile).wrapping_add(8 * lane)),
        }
    }

    pub fn load(&mut self, access: &Access, to: &Write, cast: Option<abi::cast>, step: u32) -> u32 {
        if access.by_block
            && let Some((at, by)) = self.by_block(access)
            && self.even(by).is_none()
        {
            return self.load_rows(at, by, access.bytes, to, cast, step);
        }
        let Some(elements) = self.locate(access, step) else { return NOBODY };
        let array = self.array(access);
        let Active { lo, hi, .. } = self.active;
        let (n, bytes) = (hi - lo, access.bytes);
        let width = bytes.trailing_zeros() as usize;
        if let Elements::One(at) = elements {
            let (mut element, mut value) = (0u64, 0u64);
            // SAFETY: an element that is there, of any alignment; both sides of the kernel have eight bytes.
            unsafe {
                (&raw mut element).cast::<u8>().copy_from_nonoverlapping(at, bytes);
                match cast {
                    Some(kernel) => kernel((&raw mut value).cast(), (&raw const element).cast(), 1),
                    None => value = element,
                }
            }
            self.write_value(to, (&raw const value).cast());
            self.is_in_tile(to);
            return step + 1;
        }
        if let (Elements::Strided(at, stride), Target::Alias { alias, .. }, None) = (&elements, to.to, cast)
            && *stride == bytes as i64
            && array.aligned
        {
            self.frame.set_pointer(alias, *at);
            self.set_alias_lanes(alias, lo, hi);
            return step + 1;
        }
        let out = self.out(to);
        // What a conversion reads has to be contiguous and aligned.
        let raw = if cast.is_some() { self.temps[2] } else { out };
        let mut from = raw.cast_const();
        match elements {
            Elements::Strided(at, stride) => {
                let first = at.wrapping_offset(stride.wrapping_mul(lo as i64) as isize);
                if cast.is_some() && stride == bytes as i64 && array.aligned {
                    from = first;
                } else if let Some(kernel) = self.table.gather[width] {
                    // SAFETY: the elements of all lanes of the range are in the buffer: those of its ends are.
                    unsafe { kernel(raw, first, n, stride as isize) };
                }
            }
            Elements::Indexed { base, index, stride } => {
                let mask = self.mask_from(lo);
                if let Some(kernel) = self.table.lane_gather[width] {
                    // SAFETY: the elements of active lanes are in the buffer, and so it has a first one.
                    unsafe { kernel(raw, base, index, mask, n, stride as isize) };
                }
            }
            Elements::One(_) => {}
        }
        if let Some(kernel) = cast {
            // SAFETY: as many elements, contiguous and aligned.
            unsafe { kernel(out, from, n) };
        }
        self.settle(to, out);
        self.is_in_tile(to);
        step + 1
    }

    /// Loads the elements of all lanes of a block, row by row.
    fn load_rows(
        &mut self,
        at: *mut u8,
        [x, y, z]: [i64; 3],
        bytes: usize,
        to: &Write,
        cast: Option<abi::cast>,
        step: u32,
    ) -> u32 {
        let out = self.out(to);
        let raw = if cast.is_some() { self.temps[2] } else { out };
        let [across, rows, planes] = self.run.grid.block;
        if let Some(kernel) = self.table.lane_rows[bytes.trailing_zeros() as usize] {
            for plane in 0..planes {
                let to = raw.wrapping_add((plane * rows * across) as usize * bytes);
                let from = at.wrapping_offset(plane.wrapping_mul(z) as isize);
                // SAFETY: the elements of all lanes of the block are in the buffer.
                unsafe { kernel(to, from, across as usize, rows as usize, x as isize, y as isize) };
            }
        }
        if let Some(kernel) = cast {
            // SAFETY: as many elements, contiguous and aligned.
            unsafe { kernel(out, raw, self.run.block_size) };
        }
        self.settle(to, out);
        self.is_in_tile(to);
        step + 1
    }

    fn set_alias_lanes(&mut self, alias: u32, lo: usize, hi: usize) {
        let place = alias as usize - self.frame.code.tiles.len();
        // SAFETY: there is one for every alias.
        unsafe { self.alias_lanes.add(place).write((lo as u32, hi as u32)) };
    }

    /// What was loaded is in the register's own tile.
    fn is_in_tile(&mut self, to: &Write) {
        if let Target::Alias { alias, tile } = to.to {
            self.frame.set_pointer(alias, self.frame.pointer(tile));
            self.set_alias_lanes(alias, 0, self.run.lanes);
        }
    }

    /// Where the elements of the active lanes lie, if they lie side by side and are aligned, and all lanes of the
    /// range are active: a result that is to be stored can be computed there.
    pub fn side_by_side(&self, access: &Access) -> Option<*mut u8> {
        let array = self.array(access);
        if !self.active.dense || !array.aligned {
            return None;
        }
        let (mut base, mut by) = (array.data, 0i64);
        for (axis, index) in access.index.iter().enumerate() {
            let (slot, rise) = match index.from {
                Source::Slot(slot) => (slot, 0),
                Source::Affine { slot, step } => (slot, step),
                Source::Tile(_) => return None,
            };
            let first = self.frame.index(slot);
            let extent = 0..array.extents[axis];
            let inside = |lane: usize| value_at(first, rise, lane).is_some_and(|i| extent.contains(&i));
            if !inside(self.active.lo) || !inside(self.active.hi - 1) {
                return None;
            }
            base = base.wrapping_offset(first.wrapping_mul(array.strides[axis]) as isize);
            by = by.wrapping_add(rise.wrapping_mul(array.strides[axis]));
        }
        let bytes = access.bytes;
        (by == bytes as i64).then(|| base.wrapping_add(self.active.lo * bytes))
    }

    /// Values to be written, the first one that of the first active lane, and whether there is one for each.
    fn values(&mut self, from: Read, cast: Option<abi::cast>, one: &mut u64) -> (*const u8, usize) {
        let n = self.active.len();
        match (from.from, cast) {
            (Source::Slot(slot), None) => (self.frame.slot_pointer(slot), 0),
            (Source::Slot(slot), Some(kernel)) => {
                // SAFETY: both sides have eight bytes.
                unsafe { kernel(std::ptr::from_mut(one).cast(), self.frame.slot_pointer(slot), 1) };
                (std::ptr::from_mut(one).cast_const().cast(), 0)
            }
            (source, None) => (self.vector(source, from.bytes, 2), 1),
            (source, Some(kernel)) => {
                let values = self.vector(source, from.bytes, 2);
                // SAFETY: scratch for as many elements.
                unsafe { kernel(self.temps[3], values, n) };
                (self.temps[3].cast_const(), 1)
            }
        }
    }

    pub fn store(&mut self, access: &Access, from: Read, cast: Option<abi::cast>, step: u32) -> u32 {
        let Some(elements) = self.locate(access, step) else { return NOBODY };
        let Active { lo, dense, .. } = self.active;
        let (n, bytes) = (self.active.len(), access.bytes);
        let width = bytes.trailing_zeros() as usize;
        let mut one = 0u64;
        let (values, each) = self.values(from, cast, &mut one);
        let (first, index, stride) = match elements {
            Elements::One(at) => {
                // Lanes store in the order of their numbers.
                let last = values.wrapping_add(each * (n - 1) * bytes);
                // SAFETY: an element that is there, of any alignment.
                unsafe { at.copy_from(last, bytes) };
                return step + 1;
            }
            Elements::Strided(at, stride) => {
                let first = at.wrapping_offset(stride.wrapping_mul(lo as i64) as isize);
                if dense && each == 1 {
                    if let Some(kernel) = self.table.scatter[width] {
                        // SAFETY: the elements of all lanes of the range are in the buffer.
                        unsafe { kernel(first, values, n, stride as isize) };
                    }
                    return step + 1;
                }
                (first, std::ptr::null(), stride)
            }
            Elements::Indexed { base, index, stride } => (base, index, stride),
        };
        let mask = self.mask_from(lo);
        if let Some(kernel) = self.table.lane_scatter[width] {
            // SAFETY: the elements of active lanes are in the buffer; no other is written.
            unsafe { kernel(first, values, each, index, mask, n, stride as isize) };
        }
        step + 1
    }

    /// Adds at indices as they are read; where that cannot be done or one is out of bounds, loads them for the next
    /// step.
    pub fn count_indices(&mut self, count: &Count, step: u32) -> u32 {
        let (sums, n) = (self.array(&count.access), self.active.len());
        if !sums.atomic
            && sums.strides[0] == count.access.bytes as i64
            && let Some(index) = self.side_by_side(&count.load)
        {
            let value = self.frame.slot_pointer(count.value);
            // SAFETY: an index for each active lane; contiguous elements, of which the kernel writes those of an
            // index within the extent.
            let done = unsafe { (count.kernel)(sums.data, value, index.cast(), n, sums.extents[0]) };
            if done == n as u64 {
                return step + 2;
            }
        }
        self.load(&count.load, &count.to, None, step)
    }

    pub fn combine(&mut self, access: &Access, from: Read, kernel: abi::lane_combine, step: u32) -> u32 {
        let Some(elements) = self.locate(access, step) else { return NOBODY };
        let atomic = u32::from(self.array(access).atomic);
        let Active { lo, .. } = self.active;
        let n = self.active.len();
        let (values, each) = self.values(from, None, &mut 0);
        let (base, index, stride) = match elements {
            Elements::One(at) => (at, std::ptr::null(), 0),
            Elements::Strided(at, stride) => {
                self.ramp(self.temps[3], 0, 1, 0, n);
                let first = at.wrapping_offset(stride.wrapping_mul(lo as i64) as isize);
                (first, self.temps[3].cast_const().cast(), stride)
            }
            Elements::Indexed { base, index, stride } => (base, index, stride),
        };
        let mask = self.mask_from(lo);
        // SAFETY: the elements of active lanes are in the buffer, and aligned where threads share them; no other is
        // touched.
        unsafe { kernel(base, values, each, index, mask, n, stride as isize, atomic) };
        step + 1
    }
}
