//! Instructions that compute: kernels over the active lanes, or once where all lanes have one value.
//!
//! Kernels run over all lanes between the first and the last active one, also over those in between that do not
//! run: what they compute there is not looked at, and where it would overwrite something that is, the result is
//! blended. Only what faults is kept from seeing them.

use super::decode::{Chain, Compute, Fold, Kernel, Op, Source, Target, Write};
use super::machine::{Machine, NOBODY};
use crate::generated::lanes::Fault;
use crate::generated::ops;
use crate::program::Type;

impl Machine<'_> {
    /// The mask of the active lanes, from lane 0 on; bytes outside of their range are not set.
    pub fn mask(&mut self) -> *const u8 {
        if !self.has_bytes {
            self.has_bytes = true;
            let start = self.active.lo / 64;
            let words = self.active.set.0[start..].as_ptr();
            if let Some(kernel) = self.table.mask_bytes {
                // SAFETY: scratch of a byte for every lane, and a bit for each.
                unsafe { kernel(self.bytes.add(64 * start), words, self.active.hi - 64 * start) };
            }
        }
        self.bytes
    }

    /// The mask from a lane on, or null where all lanes of the range are active.
    pub fn mask_from(&mut self, lane: usize) -> *const u8 {
        if self.active.dense { std::ptr::null() } else { self.mask().wrapping_add(lane) }
    }

    /// Values of the active lanes, the first one that of `lo`. What lies in no tile is written to one of scratch.
    pub fn vector(&mut self, from: Source, bytes: usize, temp: usize) -> *const u8 {
        let (lo, n) = (self.active.lo, self.active.len());
        match from {
            Source::Tile(tile) => self.frame.pointer(tile).wrapping_add(lo * bytes),
            Source::Slot(slot) => {
                let out = self.temps[temp];
                self.fill(out, self.frame.slot_pointer(slot), bytes, n);
                out
            }
            Source::Affine { slot, step } => {
                let out = self.temps[temp];
                self.ramp(out, self.frame.index(slot), step, lo, n);
                out
            }
        }
    }

    pub fn ramp(&self, out: *mut u8, first: i64, step: i64, lo: usize, n: usize) {
        if let Some(kernel) = self.table.ramp_integer {
            // SAFETY: callers have room for as many elements.
            unsafe { kernel(out.cast(), first, step, lo as i64, n) };
        }
    }

    pub fn fill(&self, out: *mut u8, value: *const u8, bytes: usize, n: usize) {
        if let Some(kernel) = self.table.fill[bytes.trailing_zeros() as usize] {
            // SAFETY: callers have room for as many elements, and a value.
            unsafe { kernel(out, value, n) };
        }
    }

    fn select(&self, out: *mut u8, mask: *const u8, [a, b]: [*const u8; 2], steps: [usize; 2], bytes: usize) {
        if let Some(kernel) = self.table.select[bytes.trailing_zeros() as usize] {
            // SAFETY: a mask byte and elements for all active lanes, or one element.
            unsafe { kernel(out, mask, a, b, self.active.len(), steps[0], steps[1]) };
        }
    }

    /// Where a register's elements for the active lanes are.
    pub fn at(&self, to: &Write) -> *mut u8 {
        match to.to {
            Target::Slot(slot) => self.frame.slot_pointer(slot),
            Target::Tile(tile) | Target::Alias { tile, .. } => {
                self.frame.pointer(tile).wrapping_add(self.active.lo * to.bytes)
            }
            Target::Nowhere => self.temps[0],
        }
    }

    /// Whether a write has to leave the lanes alone that do not run.
    fn spares(&self, to: &Write) -> bool {
        to.spares && self.has_parted()
    }

    /// Where to compute what is written to a register: there, or beside it where lanes have to be spared.
    pub fn out(&self, to: &Write) -> *mut u8 {
        if self.spares(to) { self.temps[0] } else { self.at(to) }
    }

    /// Puts what was computed at `out` into the register.
    pub fn settle(&mut self, to: &Write, out: *mut u8) {
        let at = self.at(to);
        if out == at || self.active.is_empty() {
            return;
        }
        if self.active.dense {
            // SAFETY: elements of the active lanes, in scratch and in a tile.
            unsafe { at.copy_from(out, self.active.len() * to.bytes) };
        } else {
            let mask = self.mask().wrapping_add(self.active.lo);
            self.select(at, mask, [out, at], [1, 1], to.bytes);
        }
    }

    /// Writes one value to a register of all active lanes.
    pub fn write_value(&mut self, to: &Write, value: *const u8) {
        if let Target::Slot(slot) = to.to {
            // SAFETY: a slot has eight bytes, and the value as many as its type.
            unsafe { self.frame.slot_pointer(slot).copy_from(value, to.bytes) };
            return;
        }
        let at = self.at(to);
        if self.spares(to) && !self.active.dense {
            let mask = self.mask().wrapping_add(self.active.lo);
            self.select(at, mask, [value, at], [0, 1], to.bytes);
        } else {
            self.fill(at, value, to.bytes, self.active.len());
        }
    }

    /// Writes a value for each active lane to a register.
    pub fn write_vector(&mut self, to: &Write, values: *const u8) {
        let at = self.at(to);
        if self.spares(to) && !self.active.dense {
            let mask = self.mask().wrapping_add(self.active.lo);
            self.select(at, mask, [values, at], [1, 1], to.bytes);
        } else {
            // SAFETY: as many elements on both sides; they may be the same ones.
            unsafe { at.copy_from(values, self.active.len() * to.bytes) };
        }
    }

    pub fn compute(&mut self, compute: &Compute, step: u32) -> u32 {
        if let Target::Slot(slot) = compute.to.to {
            return self.compute_once(compute, self.frame.slot_pointer(slot), step);
        }
        let reads = &compute.reads[..usize::from(compute.count)];
        if reads.iter().all(|read| read.from.is_slot()) {
            let mut value = 0u64;
            let next = self.compute_once(compute, (&raw mut value).cast(), step);
            if next != NOBODY {
                self.write_value(&compute.to, (&raw const value).cast());
            }
            return next;
        }
        if compute.to.stored
            && let Op::Store { access, cast: None, .. } = &self.frame.code.ops[step as usize + 1]
            && let Some(out) = self.side_by_side(access)
        {
            self.apply(compute, out);
            return step + 2;
        }
        if let Kernel::Partial { .. } = compute.kernel {
            return self.divide(compute, step);
        }
        let out = self.out(&compute.to);
        self.apply(compute, out);
        self.settle(&compute.to, out);
        step + 1
    }

    pub fn chain(&mut self, chain: &Chain, step: u32) -> u32 {
        let next = step + chain.places.len() as u32;
        let (lo, n) = (self.active.lo, self.active.len());
        let at = |tile: u32| self.frame.pointer(tile).wrapping_add(lo * chain.to.bytes);
        let (register, factor) = (at(chain.register), at(chain.factor));
        let mut in_place = None;
        if chain.to.stored
            && let Op::Store { access, cast: None, .. } = &self.frame.code.ops[next as usize]
        {
            in_place = self.side_by_side(access);
        }
        let out = in_place.unwrap_or_else(|| self.out(&chain.to));
        let places = &chain.places;
        // SAFETY: elements of all active lanes, slots that are there, and room for the result.
        unsafe { (chain.kernel)(out, register, factor, self.frame.slots, places.as_ptr(), places.len(), n) };
        if in_place.is_some() {
            return next + 1;
        }
        self.settle(&chain.to, out);
        next
    }

    /// Runs the kernel over the active lanes.
    fn apply(&mut self, compute: &Compute, out: *mut u8) {
        let n = self.active.len();
        let mut from = [std::ptr::null::<u8>(); 3];
        for (i, read) in compute.reads[..usize::from(compute.count)].iter().enumerate() {
            from[i] = match read.from {
                Source::Slot(slot) => self.frame.slot_pointer(slot),
                _ => self.vector(read.from, read.bytes, 1 + i),
            };
        }
        let [a, b, c] = from;
        // SAFETY: every operand has an element for each active lane or is one, as the kernel's form says; tiles and
        // scratch have room for the result, and `out` is an operand exactly or apart from it.
        unsafe {
            match compute.kernel {
                Kernel::Unary(kernel) => {
                    kernel(out, a, n);
                }
                Kernel::Binary(kernel) | Kernel::Partial { kernel, .. } => {
                    kernel(out, a, b, n);
                }
                Kernel::MultiplyAdd(kernel) => kernel(out, a, b, c, n),
                Kernel::Cast(kernel) => kernel(out, a, n),
                Kernel::Round(down, up) => {
                    down(self.temps[2], a, n);
                    up(out, self.temps[2], n);
                }
                Kernel::Move => out.copy_from(a, n * compute.to.bytes),
                Kernel::Select => {
                    let step = |i: usize| usize::from(!compute.reads[i].from.is_slot());
                    let bytes = compute.to.bytes;
                    match compute.reads[0].from {
                        Source::Slot(slot) => {
                            let (value, step) =
                                if self.frame.truth(slot) { (b, step(1)) } else { (c, step(2)) };
                            if step == 1 {
                                out.copy_from(value, n * bytes);
                            } else {
                                self.fill(out, value, bytes, n);
                            }
                        }
                        _ => self.select(out, a, [b, c], [step(1), step(2)], bytes),
                    }
                }
            }
        }
    }

    /// Computes one value from slots, which for a value that changes with the lane hold that of lane 0.
    fn compute_once(&mut self, compute: &Compute, out: *mut u8, step: u32) -> u32 {
        let mut from = [std::ptr::null::<u8>(); 3];
        for (i, read) in compute.reads[..usize::from(compute.count)].iter().enumerate() {
            from[i] = match read.from {
                Source::Slot(slot) | Source::Affine { slot, .. } => self.frame.slot_pointer(slot),
                Source::Tile(_) => return step + 1,
            };
        }
        let [a, b, c] = from;
        let mut half = 0u64;
        // SAFETY: operands and result are slots of eight bytes.
        let done = unsafe {
            match compute.kernel {
                Kernel::Unary(kernel) => kernel(out, a, 1),
                Kernel::Binary(kernel) | Kernel::Partial { kernel, .. } => kernel(out, a, b, 1),
                Kernel::MultiplyAdd(kernel) => {
                    kernel(out, a, b, c, 1);
                    1
                }
                Kernel::Cast(kernel) => {
                    kernel(out, a, 1);
                    1
                }
                Kernel::Round(down, up) => {
                    down((&raw mut half).cast(), a, 1);
                    up(out, (&raw const half).cast(), 1);
                    1
                }
                Kernel::Move => {
                    out.copy_from(a, compute.to.bytes);
                    1
                }
                Kernel::Select => {
                    out.copy_from(if *a != 0 { b } else { c }, compute.to.bytes);
                    1
                }
            }
        };
        if let (0, Kernel::Partial { fault, ty, .. }) = (done, compute.kernel) {
            // All active lanes have these values.
            let lane = self.active.set.first().unwrap_or(0);
            self.fail_value(step, lane, fault, ty, b);
            return NOBODY;
        }
        step + 1
    }

    /// Division and powers: lanes that do not run must not fault.
    fn divide(&mut self, compute: &Compute, step: u32) -> u32 {
        let Kernel::Partial { kernel, fault, ty, one } = compute.kernel else { return step + 1 };
        let (lo, n) = (self.active.lo, self.active.len());
        let [a, b, _] = compute.reads;
        let left = match a.from {
            Source::Slot(slot) => self.frame.slot_pointer(slot).cast_const(),
            from => self.vector(from, a.bytes, 1),
        };
        let right = match b.from {
            Source::Slot(slot) => self.frame.slot_pointer(slot).cast_const(),
            from => {
                let values = self.vector(from, b.bytes, 2);
                if self.active.dense {
                    values
                } else {
                    let mask = self.mask().wrapping_add(lo);
                    let one = self.frame.slot_pointer(one).cast_const();
                    self.select(self.temps[3], mask, [values, one], [1, 0], b.bytes);
                    self.temps[3].cast_const()
                }
            }
        };
        let out = self.out(&compute.to);
        // SAFETY: as in `apply`.
        let done = unsafe { kernel(out, left, right, n) } as usize;
        if done < n {
            let uniform = b.from.is_slot();
            let lane = if uniform { self.active.set.first().unwrap_or(lo) } else { lo + done };
            let at = if uniform { right } else { right.wrapping_add(done * b.bytes) };
            self.fail_value(step, lane, fault, ty, at);
            if self.active.is_empty() {
                return NOBODY;
            }
        }
        self.settle_from(&compute.to, out, lo);
        step + 1
    }

    /// As `settle`, of results that begin at the lane `start`: the active lanes may be fewer by now.
    fn settle_from(&mut self, to: &Write, out: *mut u8, start: usize) {
        let beside = out == self.temps[0];
        if beside {
            self.settle(to, out.wrapping_add((self.active.lo - start) * to.bytes));
        }
    }

    fn fail_value(&mut self, step: u32, lane: usize, fault: ops::Fault, ty: Type, at: *const u8) {
        let what = match fault {
            ops::Fault::Exponent => Fault::Exponent { exponent: self.frame.value_at(ty, at).to_double() },
            _ => Fault::ZeroDivision {},
        };
        self.fail(step, lane, what);
    }

    /// A reduction or a scan over the slots of a block, all of whose lanes that are left are active.
    pub fn fold(&mut self, fold: &Fold) {
        let size = self.run.block_size.next_power_of_two();
        let (lo, n) = (self.active.lo, self.active.len());
        let width = fold.ty.bytes();
        let mut values = self.vector(fold.from.from, fold.from.bytes, 2);
        if let Some((widen, _)) = fold.casts {
            // SAFETY: scratch for as many elements of eight bytes.
            unsafe { widen(self.temps[3], values, n) };
            values = self.temps[3];
        }
        let [mut now, mut next] = [self.temps[0], self.temps[1]];
        self.fill(now, self.frame.slot_pointer(fold.identity), width, size);
        let at = now.wrapping_add(lo * width);
        if self.active.dense {
            // SAFETY: a slot for every lane.
            unsafe { at.copy_from(values, n * width) };
        } else {
            let mask = self.mask().wrapping_add(lo);
            self.select(at, mask, [values, at], [1, 1], width);
        }
        let mut distance = 1;
        while distance < size {
            // SAFETY: both hold `size` elements; what is written is not what is read.
            unsafe {
                let moved = distance * width;
                (fold.kernel)(next.add(moved), now, now.add(moved), size - distance);
                next.copy_from_nonoverlapping(now, moved);
            }
            std::mem::swap(&mut now, &mut next);
            distance *= 2;
        }
        let (first, count) = if fold.each { (lo, n) } else { (size - 1, 1) };
        let mut results = now.wrapping_add(first * width);
        if let Some((_, narrow)) = fold.casts {
            // SAFETY: as above.
            unsafe { narrow(next, results, count) };
            results = next;
        }
        if fold.each {
            self.write_vector(&fold.to, results);
        } else {
            self.write_value(&fold.to, results);
        }
    }
}
