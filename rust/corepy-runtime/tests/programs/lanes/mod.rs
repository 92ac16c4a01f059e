//! Support for the tests of lane programs: random numbers, random programs.
#![allow(dead_code)] // Each test uses a part.

pub mod generate;
pub mod guarded;

/// SplitMix64 (G. Steele, D. Lea and C. Flood, *Fast splittable pseudorandom number generators*, 2014).
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// Below `n`, or 0 where `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.bits() % n }
    }

    /// True `percent` times out of a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

use corepy_runtime::backends::{Argument, LaunchError, Options, all, launch};
use corepy_runtime::program::{Program, Type, Value};
use corepy_runtime::{DType, Scalar, Tensor};
use std::sync::Arc;

/// A contiguous tensor of values.
pub fn tensor(ty: Type, shape: &[i64], values: &[Value]) -> Tensor {
    let out = Tensor::empty("test", shape, ty.dtype()).unwrap();
    assert_eq!(out.size(), values.len());
    for (i, value) in values.iter().enumerate() {
        let mut bytes = [0u8; 8];
        value.store(ty, &mut bytes);
        // SAFETY: element i of a contiguous tensor.
        unsafe { out.data().add(i * ty.bytes()).copy_from_nonoverlapping(bytes.as_ptr(), ty.bytes()) };
    }
    out
}

/// The addresses of a tensor's elements, in row-major order.
pub fn places(tensor: &Tensor) -> impl Iterator<Item = *mut u8> + '_ {
    (0..tensor.size() as i64).map(|number| {
        let (mut rest, mut offset) = (number, 0);
        for (extent, stride) in tensor.shape().iter().zip(tensor.strides()).rev() {
            offset += rest % extent * stride;
            rest /= extent;
        }
        tensor.data().wrapping_offset(offset as isize)
    })
}

/// The values of a tensor of any layout, in row-major order.
pub fn values(ty: Type, tensor: &Tensor) -> Vec<Value> {
    assert_eq!(tensor.dtype(), ty.dtype());
    let read = |place: *mut u8| {
        let mut bytes = [0u8; 8];
        // SAFETY: an element of the tensor.
        unsafe { bytes.as_mut_ptr().copy_from_nonoverlapping(place, ty.bytes()) };
        Value::load(ty, &bytes)
    };
    places(tensor).map(read).collect()
}

pub fn indices(values: &[i64]) -> Tensor {
    tensor(Type::I64, &[values.len() as i64], &values.iter().map(|&v| Value::index(v)).collect::<Vec<_>>())
}

pub fn singles(values: &[f32]) -> Tensor {
    tensor(Type::F32, &[values.len() as i64], &values.iter().map(|&v| Value::single(v)).collect::<Vec<_>>())
}

pub fn read_indices(tensor: &Tensor) -> Vec<i64> {
    values(Type::I64, tensor).into_iter().map(Value::to_index).collect()
}

pub fn read_singles(tensor: &Tensor) -> Vec<f32> {
    values(Type::F32, tensor).into_iter().map(Value::to_single).collect()
}

/// A value with one NaN for all.
pub fn canonical(value: Value) -> Value {
    match value.ty() {
        Type::F32 if value.to_single().is_nan() => Value::single(f32::NAN),
        Type::F64 if value.to_double().is_nan() => Value::double(f64::NAN),
        _ => value,
    }
}

/// Values around which operations go wrong.
pub fn edges(ty: Type) -> Vec<Value> {
    match ty {
        Type::B1 => vec![Value::truth(false), Value::truth(true)],
        Type::F32 => [
            0.0,
            1.0,
            1.5,
            2.0,
            2.5,
            0.5,
            0.1,
            3.0,
            7.0,
            1e-3,
            16_777_215.0,
            16_777_216.0,
            33_554_432.0,
            8_388_607.5,
            2_147_483_648.0,
            9.223_372e18,
            1.844_674_4e19,
            1e30,
            f32::MAX,
            f32::MIN_POSITIVE,
            f32::from_bits(1),
            f32::from_bits(0x007f_ffff),
            65_520.0,
            3e-8,
            f32::EPSILON,
            f32::INFINITY,
            f32::NAN,
        ]
        .into_iter()
        .flat_map(|x: f32| [Value::single(x), Value::single(-x)])
        .collect(),
        Type::F64 => [
            0.0,
            1.0,
            1.5,
            2.0,
            2.5,
            0.5,
            0.1,
            3.0,
            7.0,
            1e-3,
            4_503_599_627_370_495.5,
            9_007_199_254_740_991.0,
            9_007_199_254_740_992.0,
            18_014_398_509_481_984.0,
            2_147_483_648.0,
            9_223_372_036_854_775_808.0,
            18_446_744_073_709_551_616.0,
            1.000_000_059_604_644_8,
            1e300,
            f64::MAX,
            f64::MIN_POSITIVE,
            5e-324,
            2.2e-308,
            1e-40,
            3.5e38,
            f64::EPSILON,
            f64::INFINITY,
            f64::NAN,
        ]
        .into_iter()
        .flat_map(|x: f64| [Value::double(x), Value::double(-x)])
        .collect(),
        _ => {
            let (low, high) = ty.range();
            let near = [0, 1, 2, 3, 5, 7, 8, 15, 16, 31, 32, 33, 63, 64, 65, 100, 127, 128, 255, 256];
            let wide =
                [65_535, 65_536, 16_777_217, 33_554_433, 9_007_199_254_740_993, 9_223_372_036_854_775_295];
            let ends = [low, low + 1, high, high - 1, high / 2, low / 2];
            let all = near.iter().chain(&wide).flat_map(|&n: &i128| [n, -n]).chain(ends);
            all.filter(|n| (low..=high).contains(n)).map(|n| Value::integer(ty, n)).collect()
        }
    }
}

pub fn program(text: &str) -> Arc<Program> {
    Arc::new(Program::parse(text).unwrap_or_else(|e| panic!("{e}\n{text}")))
}

/// Runs a program's text on every backend that is there, one after the other from the same memory; what they leave
/// and what they report is that of the reference interpreter, which runs last.
pub fn run(text: &str, arguments: &[Argument], options: &Options) -> Result<(), LaunchError> {
    let program = program(text);
    let before = snapshot(arguments);
    let mut found = Vec::new();
    for backend in all().iter().rev().filter(|b| b.capabilities().reason.is_empty()) {
        restore(arguments, &before);
        let done = launch(&program, arguments, options, backend.name());
        found.push((backend.name(), done, snapshot(arguments)));
    }
    let (name, expected, memory) = found.pop().expect("there is a backend");
    assert_eq!(name, "reference");
    // Other backends look for races only when they are asked to.
    let raced = matches!(&expected, Err(LaunchError::Fault(fault)) if fault.race.is_some());
    for (name, done, left) in found.into_iter().filter(|_| !raced) {
        assert_eq!(done, expected, "{name}\n{text}");
        // After a fault buffers hold anything.
        let differs = first_difference(&left, &memory).filter(|_| done.is_ok());
        assert!(differs.is_none(), "{name}: {}\n{text}", differs.unwrap_or_default());
    }
    expected
}

/// The first element of any buffer that is not what it should be.
fn first_difference(left: &[Vec<Value>], expected: &[Vec<Value>]) -> Option<String> {
    let pairs = left.iter().zip(expected).enumerate();
    pairs.into_iter().find_map(|(buffer, (left, expected))| {
        let place = left.iter().zip(expected).position(|(a, b)| a != b)?;
        Some(format!("element {place} of buffer {buffer} is {:?}, not {:?}", left[place], expected[place]))
    })
}

fn type_of(tensor: &Tensor) -> Type {
    Type::ALL.into_iter().find(|t| t.dtype() == tensor.dtype()).expect("a type of programs")
}

/// The values of all tensors.
fn snapshot(arguments: &[Argument]) -> Vec<Vec<Value>> {
    let tensors = arguments.iter().filter_map(|a| if let Argument::Tensor(t) = a { Some(t) } else { None });
    tensors.map(|t| values(type_of(t), t).into_iter().map(canonical).collect()).collect()
}

fn restore(arguments: &[Argument], before: &[Vec<Value>]) {
    let tensors = arguments.iter().filter_map(|a| if let Argument::Tensor(t) = a { Some(t) } else { None });
    for (tensor, values) in tensors.zip(before).filter(|(t, _)| !t.is_read_only()) {
        let ty = type_of(tensor);
        for (place, value) in places(tensor).zip(values) {
            let mut bytes = [0u8; 8];
            value.store(ty, &mut bytes);
            // SAFETY: an element of the tensor.
            unsafe { place.copy_from_nonoverlapping(bytes.as_ptr(), ty.bytes()) };
        }
    }
}

pub fn number(value: i64) -> Argument {
    Argument::Number(Scalar::from_i64(value))
}

/// The number of bytes that a dtype's element has, as the offset of the next.
pub fn item(dtype: DType) -> i64 {
    dtype.itemsize() as i64
}
