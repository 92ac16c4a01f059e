//! Whatever text: parsed, verified, printed, read back, and what is a program run on every backend.
#![no_main]

use corepy_runtime::backends::{self, Argument, LaunchError, Options, launch};
use corepy_runtime::program::{ArgumentKind, Mode, Program, Type};
use corepy_runtime::{Scalar, Tensor};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

/// Elements around a buffer, which no program may change.
const GUARD: i64 = 32;
const GUARD_BYTE: u8 = 0xa5;
/// Extents of buffers: fewer than lanes, so that programs which do not check their index fault.
const EXTENTS: [i64; 6] = [37, 3, 2, 2, 1, 1];
const STEP_LIMIT: u64 = 40;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let program = match Program::parse(text) {
        Ok(program) => Arc::new(program),
        Err(refused) => return assert!(!refused.to_string().is_empty()),
    };
    let printed = Program::parse(program.text()).expect("the text of a program is one");
    assert_eq!(printed.text(), program.text());
    assert_eq!(printed.digest(), program.digest());
    let usable = backends::all().iter().filter(|b| b.capabilities().reason.is_empty());
    // Races make results depend on the order of lanes: such a launch is run for its safety alone.
    let racing = matches!(run(&program, "reference", true).0, Err(LaunchError::Fault(f)) if f.race.is_some());
    let expected = run(&program, "reference", false);
    for backend in usable.filter(|b| b.name() != "reference") {
        let found = run(&program, backend.name(), false);
        if racing {
            continue;
        }
        assert_eq!(
            format!("{:?}", found.0),
            format!("{:?}", expected.0),
            "{}\n{}",
            backend.name(),
            program.text()
        );
        if expected.0.is_ok() {
            assert_eq!(found.1, expected.1, "{}\n{}", backend.name(), program.text());
        }
    }
});

/// The outcome of a launch, and what its buffers hold then.
fn run(program: &Arc<Program>, backend: &str, check_races: bool) -> (Result<(), LaunchError>, Vec<Vec<u8>>) {
    let mut buffers = Vec::new();
    let arguments: Vec<Argument> = program
        .arguments()
        .iter()
        .map(|&kind| match kind {
            ArgumentKind::Param(i) => Argument::Number(match program.params()[usize::from(i)].ty {
                Type::B1 => Scalar::from_bool(true),
                Type::F32 | Type::F64 => Scalar::from_f64(1.5),
                _ => Scalar::from_i64(3),
            }),
            ArgumentKind::Buffer(i) => {
                let buffer = &program.buffers()[usize::from(i)];
                let (whole, view) = guarded(buffer.ty, buffer.axes);
                buffers.push((whole, view.clone(), buffer.mode, buffer.ty));
                Argument::Tensor(view)
            }
        })
        .collect();
    let options =
        Options { block: [16, 1, 1], check_races, step_limit: Some(STEP_LIMIT), ..Options::lanes(41) };
    let outcome = launch(program, &arguments, &options, backend);
    let held = buffers
        .iter()
        .map(|(whole, view, mode, ty)| {
            let all = bytes(whole);
            let (first, size) = (GUARD as usize * whole.itemsize(), view.size() * view.itemsize());
            let outside = all[..first].iter().chain(&all[first + size..]);
            assert!(outside.clone().all(|&byte| byte == GUARD_BYTE), "bytes outside of a buffer changed");
            let inside = &all[first..first + size];
            if *mode == Mode::In {
                assert_eq!(inside, initial(*ty, view.size()), "a buffer that is only read changed");
            }
            canonical(whole.dtype(), inside)
        })
        .collect();
    (outcome, held)
}

/// Small numbers, so that what is read can be an index.
fn initial(ty: Type, size: usize) -> Vec<u8> {
    let element = |i: usize| match ty {
        Type::F32 => (i as f32 * 0.5).to_le_bytes().to_vec(),
        Type::F64 => (i as f64 * 0.5).to_le_bytes().to_vec(),
        _ => (i as u64).to_le_bytes()[..ty.bytes()].to_vec(),
    };
    (0..size).flat_map(|i| element(i % 7)).collect()
}

/// A buffer's tensor within a longer one.
fn guarded(ty: Type, axes: usize) -> (Tensor, Tensor) {
    let shape = &EXTENTS[..axes];
    let size: i64 = shape.iter().product();
    let whole = Tensor::empty("fuzz", &[size + 2 * GUARD], ty.dtype()).unwrap();
    let item = whole.itemsize() as i64;
    let mut strides = vec![item; axes];
    for axis in (1..axes).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    let view = whole.view(GUARD * item, shape, &strides);
    // SAFETY: both lie in a tensor of these many bytes that only this function knows.
    unsafe {
        whole.data().write_bytes(GUARD_BYTE, whole.size() * whole.itemsize());
        let inside = initial(ty, view.size());
        view.data().copy_from_nonoverlapping(inside.as_ptr(), inside.len());
    }
    (whole, view)
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    // SAFETY: a contiguous tensor has these many bytes; nothing runs that writes to them.
    unsafe { std::slice::from_raw_parts(tensor.data(), tensor.size() * tensor.itemsize()) }.to_vec()
}

/// The bytes with one NaN for all.
fn canonical(dtype: corepy_runtime::DType, bytes: &[u8]) -> Vec<u8> {
    use corepy_runtime::DType;
    let mut out = bytes.to_vec();
    match dtype {
        DType::Float16 | DType::Bfloat16 => {
            let infinity = if dtype == DType::Float16 { 0x7c00 } else { 0x7f80 };
            for item in out.chunks_exact_mut(2) {
                if u16::from_le_bytes([item[0], item[1]]) & 0x7fff > infinity {
                    item.copy_from_slice(&u16::MAX.to_le_bytes());
                }
            }
        }
        DType::Float32 => {
            for item in out.chunks_exact_mut(4) {
                if f32::from_le_bytes(item.try_into().unwrap()).is_nan() {
                    item.copy_from_slice(&u32::MAX.to_le_bytes());
                }
            }
        }
        DType::Float64 => {
            for item in out.chunks_exact_mut(8) {
                if f64::from_le_bytes(item.try_into().unwrap()).is_nan() {
                    item.copy_from_slice(&u64::MAX.to_le_bytes());
                }
            }
        }
        _ => {}
    }
    out
}
