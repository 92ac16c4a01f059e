//! A launch: the grid, the arguments, and every check that comes before the first lane.

use super::overlap;
use crate::dtype::Kind;
use crate::error::{Error, Result};
use crate::layout;
use crate::program::{ArgumentKind, Buffer, Mode, Param, Program, Type, Value};
use crate::scalar::Scalar;
use crate::tensor::Tensor;
use std::cell::Cell;
use std::sync::Arc;

/// Most lanes of a launch.
pub const MAX_LANES: i64 = 1 << 62;
/// Most lanes of a block.
pub const MAX_BLOCK: i64 = 1024;

/// What a launch is given for a param or a buffer.
#[derive(Clone, Debug)]
pub enum Argument {
    Number(Scalar),
    Tensor(Tensor),
}

/// How a program is to be launched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Extents of the grid: x, y, z.
    pub lanes: [i64; 3],
    /// Extents of a block.
    pub block: [i64; 3],
    /// Whether a race is to be an error.
    pub check_races: bool,
    /// How many branches back and rounds of loops each lane may take.
    pub step_limit: Option<u64>,
}

impl Options {
    /// A grid of one dimension, in blocks of 256 lanes.
    pub fn lanes(lanes: i64) -> Options {
        Options { lanes: [lanes, 1, 1], block: [256, 1, 1], check_races: false, step_limit: None }
    }
}

/// The lanes of a launch, cut into blocks. Lanes and blocks are numbered with x fastest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grid {
    /// Lanes in the grid.
    pub lanes: [i64; 3],
    /// Lanes in a full block.
    pub block: [i64; 3],
    /// Blocks in the grid.
    pub blocks: [i64; 3],
}

impl Grid {
    fn new(kernel: &str, lanes: [i64; 3], block: [i64; 3]) -> Result<Grid> {
        let product = |e: [i64; 3]| e.iter().map(|&e| i128::from(e)).fold(1, i128::saturating_mul);
        let kernel = || kernel.to_owned();
        if lanes.iter().any(|&e| e < 0) || product(lanes) > i128::from(MAX_LANES) {
            return Err(Error::LaneGrid { kernel: kernel(), lanes: layout::show(&lanes) });
        }
        if block.iter().any(|&e| e < 1) || product(block) > i128::from(MAX_BLOCK) {
            return Err(Error::LaneBlock { kernel: kernel(), block: layout::show(&block) });
        }
        let blocks = std::array::from_fn(|axis| (lanes[axis] as u64).div_ceil(block[axis] as u64) as i64);
        Ok(Grid { lanes, block, blocks })
    }

    /// How many blocks there are.
    pub fn block_count(&self) -> i64 {
        // A block holds at least one lane of the grid, so there are no more blocks than lanes; unless there are
        // none, when two extents alone may be too large.
        if self.blocks.contains(&0) { 0 } else { self.blocks.iter().product() }
    }

    /// How many lanes a full block has.
    pub fn block_size(&self) -> usize {
        self.block.iter().product::<i64>() as usize
    }

    /// The place of a block by its number.
    pub fn block_at(&self, number: i64) -> [i64; 3] {
        let [x, y, _] = self.blocks;
        [number % x, number / x % y, number / x / y]
    }

    /// The place of a lane in its block, by its number there.
    pub fn lane_at(&self, number: usize) -> [i64; 3] {
        let [x, y, _] = self.block;
        let number = number as i64;
        [number % x, number / x % y, number / x / y]
    }

    /// The place in the grid of a lane of a block; None where the block juts out of the grid there.
    pub fn global(&self, block: [i64; 3], lane: [i64; 3]) -> Option<[i64; 3]> {
        let place = std::array::from_fn(|axis| block[axis] * self.block[axis] + lane[axis]);
        (0..3).all(|axis| place[axis] < self.lanes[axis]).then_some(place)
    }
}

thread_local! {
    /// The lists of a launch that is over, for the next one: a warm launch allocates nothing.
    static SPARE: Cell<(Vec<Value>, Vec<Tensor>)> = const { Cell::new((Vec::new(), Vec::new())) };
}

/// The values of the params and the tensors of the buffers.
#[derive(Debug)]
struct Lists((Vec<Value>, Vec<Tensor>));

impl Drop for Lists {
    fn drop(&mut self) {
        let (mut params, mut buffers) = std::mem::take(&mut self.0);
        params.clear();
        buffers.clear();
        // Not while the thread ends.
        let _ = SPARE.try_with(|spare| spare.set((params, buffers)));
    }
}

/// A launch whose arguments have been checked: only [`Launch::new`] makes one. Elements that an index within
/// a buffer's shape names may be read, and those of `out` and `inout` buffers written.
#[derive(Debug)]
pub struct Launch {
    program: Arc<Program>,
    lists: Lists,
    grid: Grid,
    step_limit: Option<u64>,
    check_races: bool,
}

impl Launch {
    /// Checks arguments against the program's declarations.
    ///
    /// # Errors
    /// Errors of class `TypeError` for the number, the dtype and the kind of arguments, `ValueError` for rank,
    /// writability, overlap, the grid, and numbers that do not fit.
    pub fn new(program: &Arc<Program>, arguments: &[Argument], options: &Options) -> Result<Launch> {
        Launch::taking(program, arguments.iter().cloned(), options)
    }

    /// As `new`, of arguments that the launch keeps.
    pub fn taking(
        program: &Arc<Program>,
        arguments: impl ExactSizeIterator<Item = Argument>,
        options: &Options,
    ) -> Result<Launch> {
        let kernel = program.name();
        let grid = Grid::new(kernel, options.lanes, options.block)?;
        check_count(program, arguments.len())?;
        let expected = program.arguments();
        let mut lists = Lists(SPARE.take());
        let (params, buffers) = &mut lists.0;
        for (argument, &kind) in arguments.zip(expected) {
            match (kind, argument) {
                (ArgumentKind::Param(i), Argument::Number(number)) => {
                    params.push(value_of(kernel, &program.params()[usize::from(i)], &number)?);
                }
                (ArgumentKind::Buffer(i), Argument::Tensor(tensor)) => {
                    check_tensor(kernel, &program.buffers()[usize::from(i)], &tensor)?;
                    buffers.push(tensor);
                }
                (ArgumentKind::Param(i), Argument::Tensor(_)) => {
                    let Param { name, ty } = &program.params()[usize::from(i)];
                    let (kernel, name) = (kernel.to_owned(), name.clone());
                    return Err(Error::LaneNeedsNumber {
                        kernel,
                        name,
                        ty: ty.name(),
                        given: "a tensor".to_owned(),
                    });
                }
                (ArgumentKind::Buffer(i), Argument::Number(_)) => {
                    let Buffer { name, ty, .. } = &program.buffers()[usize::from(i)];
                    let (kernel, name) = (kernel.to_owned(), name.clone());
                    return Err(Error::LaneNeedsTensor {
                        kernel,
                        name,
                        dtype: ty.dtype().name(),
                        given: "a number".to_owned(),
                    });
                }
            }
        }
        check_overlap(kernel, program.buffers(), buffers)?;
        let Options { step_limit, check_races, .. } = *options;
        Ok(Launch { program: program.clone(), lists, grid, step_limit, check_races })
    }

    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// The values of the program's params.
    pub fn params(&self) -> &[Value] {
        &self.lists.0.0
    }

    /// The tensors of the program's buffers.
    pub fn buffers(&self) -> &[Tensor] {
        &self.lists.0.1
    }

    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    pub fn step_limit(&self) -> Option<u64> {
        self.step_limit
    }

    pub fn check_races(&self) -> bool {
        self.check_races
    }
}

/// Fails unless a program takes so many arguments.
///
/// # Errors
/// [`Error::LaneArguments`].
pub fn check_count(program: &Program, given: usize) -> Result<()> {
    let expected = program.arguments();
    if given == expected.len() {
        return Ok(());
    }
    let names: Vec<&str> = expected.iter().map(|&a| name(program, a)).collect();
    let (kernel, names) = (program.name().to_owned(), names.join(", "));
    Err(Error::LaneArguments { kernel, expected: expected.len(), names, given })
}

fn name(program: &Program, argument: ArgumentKind) -> &str {
    match argument {
        ArgumentKind::Param(i) => &program.params()[usize::from(i)].name,
        ArgumentKind::Buffer(i) => &program.buffers()[usize::from(i)].name,
    }
}

/// The value of a param: an integer must be held exactly, a float takes the nearest value.
fn value_of(kernel: &str, param: &Param, number: &Scalar) -> Result<Value> {
    let Param { name, ty } = param;
    let refused = || Error::LaneKind {
        kernel: kernel.to_owned(),
        name: name.clone(),
        ty: ty.name(),
        given: number.dtype().name(),
    };
    let unfit = |value: String| {
        Err(Error::LaneNumber { kernel: kernel.to_owned(), value, name: name.clone(), ty: ty.name() })
    };
    let kind = number.dtype().kind();
    if kind == Kind::Complex || (kind == Kind::Bool) != (*ty == Type::B1) {
        return Err(refused());
    }
    let element = |dtype: Type, scalar: &Scalar| Value::load(dtype, scalar.bytes());
    let whole = match kind {
        Kind::Bool => return Ok(element(Type::B1, number)),
        Kind::Floating => {
            let value = element(Type::F64, &number.cast(Type::F64.dtype())).to_double();
            match ty {
                // Of a narrower number: rounding twice would be wrong, so it is rounded from itself.
                Type::F64 => return Ok(Value::double(value)),
                Type::F32 => return Ok(Value::single(value as f32)),
                _ => {}
            }
            // Cut off and saturated: equal only where it is a whole number that i128 holds, or one more than that.
            let whole = value as i128;
            if whole as f64 != value || whole == i128::MAX {
                return unfit(format!("{value:?}"));
            }
            whole
        }
        Kind::Unsigned => i128::from(element(Type::U64, &number.cast(Type::U64.dtype())).bits()),
        _ => element(Type::I64, &number.cast(Type::I64.dtype())).to_integer(),
    };
    match ty {
        Type::F32 | Type::F64 => Ok(element(*ty, &number.cast(ty.dtype()))),
        _ => {
            let (low, high) = ty.range();
            if (low..=high).contains(&whole) {
                Ok(Value::integer(*ty, whole))
            } else {
                unfit(whole.to_string())
            }
        }
    }
}

fn check_tensor(kernel: &str, buffer: &Buffer, tensor: &Tensor) -> Result<()> {
    let named = || (kernel.to_owned(), buffer.name.clone());
    if tensor.dtype() != buffer.ty.dtype() {
        let ((kernel, name), expected, given) = (named(), buffer.ty.dtype().name(), tensor.dtype().name());
        return Err(Error::LaneDtype { kernel, name, expected, given });
    }
    if tensor.ndim() != buffer.axes {
        let ((kernel, name), shape) = (named(), layout::show(tensor.shape()));
        return Err(Error::LaneRank { kernel, name, axes: buffer.axes, shape });
    }
    if buffer.mode == Mode::In {
        return Ok(());
    }
    if tensor.is_read_only() {
        let ((kernel, name), owner) = (named(), tensor.storage().owner().to_owned());
        return Err(Error::LaneReadOnly { kernel, name, mode: buffer.mode.name(), owner });
    }
    if overlap::shares_with_itself(tensor) {
        let (kernel, name) = named();
        return Err(Error::LaneSelfOverlap { kernel, name, mode: buffer.mode.name() });
    }
    Ok(())
}

/// What is written shares no element with anything else.
fn check_overlap(kernel: &str, declared: &[Buffer], tensors: &[Tensor]) -> Result<()> {
    for (i, a) in tensors.iter().enumerate() {
        for (j, b) in tensors.iter().enumerate().skip(i + 1) {
            let written = [(i, j), (j, i)].into_iter().find(|&(k, _)| declared[k].mode != Mode::In);
            if let Some((written, other)) = written
                && overlap::share_memory(a, b)
            {
                return Err(Error::LaneOverlap {
                    kernel: kernel.to_owned(),
                    a: declared[written].name.clone(),
                    b: declared[other].name.clone(),
                    mode: declared[written].mode.name(),
                });
            }
        }
    }
    Ok(())
}
