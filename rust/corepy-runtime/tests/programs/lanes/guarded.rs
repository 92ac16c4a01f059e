//! Arguments of random programs, in memory that tells when something beside them is written.

use super::{Random, canonical, edges, tensor, values};
use corepy_runtime::backends::Argument;
use corepy_runtime::program::{ArgumentKind, Mode, Program, Type, Value};
use corepy_runtime::{Scalar, Tensor};

/// Tensors for a generated program, each inside of memory that is wider on both sides, with the sides' bytes.
pub struct Guarded {
    pub arguments: Vec<Argument>,
    memory: Vec<(Tensor, usize)>,
}

const CANARY: u8 = 0xa5;
const SIDE: i64 = 192;

pub fn guarded(program: &Program, lanes: [i64; 3], random: &mut Random) -> Guarded {
    let (mut arguments, mut memory) = (Vec::new(), Vec::new());
    for &argument in program.arguments() {
        match argument {
            ArgumentKind::Param(i) => {
                let ty = program.params()[usize::from(i)].ty;
                let value = *random.pick(&edges(ty));
                let mut bytes = [0u8; 8];
                value.store(ty, &mut bytes);
                arguments.push(Argument::Number(Scalar::new(ty.dtype(), &bytes)));
            }
            ArgumentKind::Buffer(i) => {
                let buffer = &program.buffers()[usize::from(i)];
                let shape: Vec<i64> = match (buffer.name.as_bytes()[0], buffer.axes) {
                    (b'y', 1) => vec![lanes[0]],
                    (b'y', _) => vec![lanes[2], lanes[1], lanes[0]],
                    (b'w', _) => vec![lanes[0] + random.below(2) as i64],
                    (_, axes) => (0..axes).map(|_| 1 + random.below(9) as i64).collect(),
                };
                let size = shape.iter().product::<i64>() * buffer.ty.bytes() as i64;
                let bytes = tensor(
                    Type::U8,
                    &[size + 2 * SIDE],
                    &vec![Value::new(Type::U8, u64::from(CANARY)); (size + 2 * SIDE) as usize],
                );
                let mut strides = vec![buffer.ty.bytes() as i64; shape.len()];
                for axis in (1..shape.len()).rev() {
                    strides[axis - 1] = strides[axis] * shape[axis];
                }
                let view = bytes.view_as(SIDE, buffer.ty.dtype(), &shape, &strides);
                let choices = edges(buffer.ty.in_register());
                for flat in 0..view.size() {
                    let mut element = [0u8; 8];
                    random.pick(&choices).store(buffer.ty, &mut element);
                    // SAFETY: the view is contiguous.
                    unsafe {
                        let to = view.data().add(flat * buffer.ty.bytes());
                        to.copy_from_nonoverlapping(element.as_ptr(), buffer.ty.bytes());
                    }
                }
                let view = if buffer.mode == Mode::In { view.into_read_only() } else { view };
                arguments.push(Argument::Tensor(view));
                memory.push((bytes, size as usize));
            }
        }
    }
    Guarded { arguments, memory }
}

pub fn assert_untouched(guarded: &Guarded, seed: u64) {
    for (bytes, size) in &guarded.memory {
        for (place, value) in values(Type::U8, bytes).into_iter().enumerate() {
            let inside = (SIDE as usize..SIDE as usize + size).contains(&place);
            assert!(inside || value.bits() == u64::from(CANARY), "seed {seed}: byte {place} was written");
        }
    }
}

impl Guarded {
    /// The bits of every element of every buffer, with one NaN for all.
    pub fn elements(&self, program: &Program) -> Vec<Vec<u64>> {
        let tensors = self.arguments.iter().filter_map(|argument| match argument {
            Argument::Tensor(tensor) => Some(tensor),
            Argument::Number(_) => None,
        });
        let found = program.buffers().iter().zip(tensors);
        found.map(|(b, t)| values(b.ty, t).into_iter().map(|v| canonical(v).bits()).collect()).collect()
    }
}
