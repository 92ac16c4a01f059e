//! The checks before a launch, each with its exact message, and which layouts share memory.

use crate::lanes::{Random, indices, number, program, read_singles, run, singles};
use corepy_runtime::backends::{
    self, Argument, LaunchError, Options, launch, share_memory, shares_with_itself,
};
use corepy_runtime::program::Type;
use corepy_runtime::{DType, Dims, Scalar, Tensor};

const TEXT: &str = "
.kernel k
.param a: f32
.param n: i8
.param p: b1
.buffer x: in f32[:]
.buffer y: out f32[:]
    exit
";

fn refused(arguments: &[Argument], options: &Options) -> (&'static str, String) {
    match run(TEXT, arguments, options) {
        Err(LaunchError::Refused(error)) => (error.class(), error.to_string()),
        other => panic!("{other:?}"),
    }
}

fn usual() -> Vec<Argument> {
    vec![
        Argument::Number(Scalar::from_f64(1.0)),
        number(1),
        Argument::Number(Scalar::from_bool(true)),
        Argument::Tensor(singles(&[1.0, 2.0])),
        Argument::Tensor(singles(&[1.0, 2.0])),
    ]
}

fn with(place: usize, argument: Argument) -> Vec<Argument> {
    let mut all = usual();
    all[place] = argument;
    all
}

#[test]
fn arguments_are_checked() {
    let complex = Argument::Number(Scalar::from_complex(1.0, 0.0));
    let view = {
        let x = singles(&[1.0, 2.0, 3.0]);
        x.view(0, &[2, 2], &[4, 4])
    };
    for (arguments, class, message) in [
        (usual()[..4].to_vec(), "TypeError", "[k] takes 5 arguments (a, n, p, x, y), not 4"),
        (
            with(0, Argument::Tensor(singles(&[1.0]))),
            "TypeError",
            "[k] a is a param: needs a number for f32, not a tensor",
        ),
        (with(3, number(1)), "TypeError", "[k] x is a buffer: needs a tensor of float32, not a number"),
        (with(0, complex), "TypeError", "[k] param a of f32 does not take a number of complex128"),
        (
            with(0, Argument::Number(Scalar::from_bool(true))),
            "TypeError",
            "[k] param a of f32 does not take a number of bool",
        ),
        (with(2, number(1)), "TypeError", "[k] param p of b1 does not take a number of int64"),
        (
            with(3, Argument::Tensor(indices(&[1]))),
            "TypeError",
            "[k] buffer x is of float32 and does not take a tensor of int64: tensors are not converted",
        ),
        (with(1, number(128)), "ValueError", "[k] 128 does not fit param n of i8"),
        (with(1, number(-129)), "ValueError", "[k] -129 does not fit param n of i8"),
        (
            with(1, Argument::Number(Scalar::from_u64(u64::MAX))),
            "ValueError",
            "[k] 18446744073709551615 does not fit param n of i8",
        ),
        (
            with(1, Argument::Number(Scalar::from_f64(1.5))),
            "ValueError",
            "[k] 1.5 does not fit param n of i8",
        ),
        (
            with(1, Argument::Number(Scalar::from_f64(f64::NAN))),
            "ValueError",
            "[k] NaN does not fit param n of i8",
        ),
        (
            with(1, Argument::Number(Scalar::from_f64(f64::INFINITY))),
            "ValueError",
            "[k] inf does not fit param n of i8",
        ),
        (
            with(1, Argument::Number(Scalar::from_f64(300.0))),
            "ValueError",
            "[k] 300 does not fit param n of i8",
        ),
        (
            with(3, Argument::Tensor(view.clone())),
            "ValueError",
            "[k] buffer x has rank 1 and does not take a tensor of shape (2, 2)",
        ),
        (
            with(4, Argument::Tensor(singles(&[1.0]).into_read_only())),
            "ValueError",
            "[k] y is an out buffer, and the tensor is read-only: its memory belongs to corepy",
        ),
        (
            with(4, Argument::Tensor(singles(&[1.0]).view(0, &[5], &[0]))),
            "ValueError",
            "[k] y is an out buffer, and elements of the tensor share memory",
        ),
        (
            with(4, Argument::Tensor(singles(&[1.0, 2.0]).view(0, &[2], &[2]))),
            "ValueError",
            "[k] y is an out buffer, and elements of the tensor share memory",
        ),
    ] {
        assert_eq!(refused(&arguments, &Options::lanes(1)), (class, message.to_owned()));
    }
    let shared = singles(&[1.0, 2.0, 3.0]);
    let mut arguments = with(3, Argument::Tensor(shared.view(0, &[2], &[4])));
    arguments[4] = Argument::Tensor(shared.view(4, &[2], &[4]));
    let message = "[k] the tensors of y and x share memory, and y is an out buffer";
    assert_eq!(refused(&arguments, &Options::lanes(1)), ("ValueError", message.to_owned()));
    // Interleaved elements are apart.
    arguments[3] = Argument::Tensor(shared.view(0, &[2], &[8]));
    arguments[4] = Argument::Tensor(shared.view(4, &[1], &[8]));
    run(TEXT, &arguments, &Options::lanes(1)).unwrap();
    // What is only read may overlap, broadcast and be read-only.
    let both = ".kernel k\n.buffer x: in f32[:]\n.buffer y: in f32[:]\n    exit";
    let twice =
        [Argument::Tensor(shared.view(0, &[9], &[0]).into_read_only()), Argument::Tensor(shared.clone())];
    run(both, &twice, &Options::lanes(1)).unwrap();
}

#[test]
fn grids_blocks_and_backends_are_checked() {
    let options = Options::lanes(1);
    for (lanes, block, message) in [
        ([-1, 1, 1], [1, 1, 1], "[k] lanes (-1, 1, 1): extents are 0 or more, at most 2**62 in all"),
        (
            [1 << 62, 2, 1],
            [1, 1, 1],
            "[k] lanes (4611686018427387904, 2, 1): extents are 0 or more, at most 2**62 in all",
        ),
        (
            [i64::MAX, i64::MAX, i64::MAX],
            [1, 1, 1],
            "[k] lanes (9223372036854775807, 9223372036854775807, 9223372036854775807): extents are 0 or more, at most 2**62 in all",
        ),
        ([1, 1, 1], [0, 1, 1], "[k] block (0, 1, 1): extents are 1 or more, at most 1024 in all"),
        ([1, 1, 1], [1, -1, 1], "[k] block (1, -1, 1): extents are 1 or more, at most 1024 in all"),
        ([1, 1, 1], [32, 33, 1], "[k] block (32, 33, 1): extents are 1 or more, at most 1024 in all"),
        (
            [1, 1, 1],
            [i64::MAX, i64::MAX, 1],
            "[k] block (9223372036854775807, 9223372036854775807, 1): extents are 1 or more, at most 1024 in all",
        ),
    ] {
        let error = refused(&usual(), &Options { lanes, block, ..options });
        assert_eq!(error, ("ValueError", message.to_owned()));
    }
    // No lanes, in every way to say so.
    for lanes in [[0, 1, 1], [0, i64::MAX, i64::MAX], [i64::MAX, i64::MAX, 0]] {
        run(TEXT, &usual(), &Options { lanes, ..options }).unwrap();
    }
    for name in ["", "gpu", "Reference"] {
        let error = launch(&program(TEXT), &usual(), &options, name).unwrap_err();
        assert!(matches!(&error, LaunchError::Refused(e) if e.class() == "ValueError"));
        let usable = backends::all().iter().filter(|b| b.capabilities().reason.is_empty());
        let known: Vec<_> = usable.map(|b| b.name()).collect();
        assert_eq!(
            error.to_string(),
            format!("[k] there is no backend {name:?} here; there are {}", known.join(", "))
        );
    }
    for absent in backends::all().iter().filter(|b| !b.capabilities().reason.is_empty()) {
        let (name, reason) = (absent.name(), absent.capabilities().reason);
        let error = launch(&program(TEXT), &usual(), &options, name).unwrap_err();
        assert_eq!(error.to_string(), format!("[k] backend {name:?} cannot be used here: {reason}"));
        assert!(absent.load(&program(TEXT)).is_err() && absent.synchronise().is_err());
        assert!(absent.allocate("test", &[1], DType::Float32).is_err());
        assert!(!absent.capabilities().automatic);
    }
}

#[test]
fn params_take_the_nearest_value() {
    let text =
        ".kernel k\n.param a: f32\n.param b: f64\n.param c: u64\n.buffer x: out f32[:]\n.buffer y: out f64[:]
        .buffer z: out u64[:]\n    stg.f32 x[0], a\n    stg.f64 y[0], b\n    stg.u64 z[0], c\n    exit";
    let (x, y) =
        (singles(&[0.0]), crate::lanes::tensor(Type::F64, &[1], &[crate::lanes::edges(Type::F64)[0]]));
    let z = crate::lanes::tensor(Type::U64, &[1], &[crate::lanes::edges(Type::U64)[0]]);
    let tensors = [x.clone(), y.clone(), z.clone()].map(Argument::Tensor);
    let launch = |a: Scalar, b: Scalar, c: Scalar| {
        let arguments =
            [vec![a, b, c].into_iter().map(Argument::Number).collect(), tensors.to_vec()].concat();
        run(text, &arguments, &Options::lanes(1)).unwrap();
        let value = |ty, t| crate::lanes::values(ty, t)[0];
        (read_singles(&x)[0], value(Type::F64, &y).to_double(), value(Type::U64, &z).bits())
    };
    // 16777217.5 is rounded once; as an integer, too.
    let got = launch(Scalar::from_f64(0.1), Scalar::from_f64(0.1), Scalar::from_f64(2f64.powi(63)));
    assert_eq!(got, (0.1, 0.1, 1 << 63));
    let got =
        launch(Scalar::from_i64((1 << 54) + (1 << 30) + 1), Scalar::from_i64(1), Scalar::from_u64(u64::MAX));
    assert_eq!(got, (((1i64 << 54) + (1 << 31)) as f32, 1.0, u64::MAX));
    let got = launch(Scalar::from_u64(u64::MAX), Scalar::from_u64(u64::MAX), Scalar::from_i64(0));
    assert_eq!(got, (18_446_744_073_709_551_616.0, 18_446_744_073_709_551_616.0, 0));
}

/// Bytes that a view's elements lie on, each with how many elements do.
fn bytes_of(view: &Tensor, base: usize) -> Vec<i32> {
    let mut hits = vec![0; 4096];
    let mut index = vec![0i64; view.ndim()];
    for _ in 0..view.size() {
        let offset: i64 = index.iter().zip(view.strides()).map(|(i, s)| i * s).sum();
        let start = (view.data() as i64 + offset) as usize - base;
        (start..start + view.itemsize()).for_each(|b| hits[b] += 1);
        for axis in (0..index.len()).rev() {
            index[axis] += 1;
            if index[axis] < view.shape()[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    hits
}

fn random_view(memory: &Tensor, random: &mut Random) -> Tensor {
    let dtype = *random.pick(&[DType::Uint8, DType::Int16, DType::Float32, DType::Float64]);
    loop {
        let axes = random.below(4) as usize;
        let shape: Vec<i64> = (0..axes).map(|_| 1 + random.below(5) as i64).collect();
        let strides: Vec<i64> = (0..axes).map(|_| random.below(61) as i64 - 30).collect();
        let offset = random.below(2000) as i64;
        let reach: i64 = shape.iter().zip(&strides).map(|(e, s)| (e - 1) * s.abs()).sum();
        if offset >= reach && offset + reach + 8 <= memory.size() as i64 {
            let data = memory.data().wrapping_offset(offset as isize);
            // SAFETY: every element lies inside, as just checked.
            return unsafe {
                Tensor::from_parts(
                    memory.storage().clone(),
                    data,
                    dtype,
                    Dims::new(&shape),
                    Dims::new(&strides),
                    false,
                )
            };
        }
    }
}

#[test]
fn shared_memory_is_found_byte_by_byte() {
    let memory = Tensor::empty("test", &[4000], DType::Uint8).unwrap();
    let base = memory.data() as usize;
    let mut random = Random::new(11);
    let mut counts = [0; 4];
    for _ in 0..20_000 {
        let (a, b) = (random_view(&memory, &mut random), random_view(&memory, &mut random));
        // Brought close to one another, so that about half of them meet.
        let moved = a.data() as i64 - b.data() as i64 + random.below(65) as i64 - 32;
        let target = b.data() as i64 - base as i64 + moved;
        let b = if (700..2500).contains(&target) {
            let data = b.data().wrapping_offset(moved as isize);
            // SAFETY: nothing reads the elements, which lie inside in any case.
            unsafe {
                let (shape, strides) = (Dims::new(b.shape()), Dims::new(b.strides()));
                Tensor::from_parts(memory.storage().clone(), data, b.dtype(), shape, strides, false)
            }
        } else {
            b
        };
        let (of_a, of_b) = (bytes_of(&a, base), bytes_of(&b, base));
        let expected = of_a.iter().zip(&of_b).any(|(x, y)| *x > 0 && *y > 0);
        assert_eq!(
            share_memory(&a, &b),
            expected,
            "{:?} {:?}; {:?} {:?}",
            a.shape(),
            a.strides(),
            b.shape(),
            b.strides()
        );
        assert_eq!(share_memory(&b, &a), expected);
        let own = of_a.iter().any(|x| *x > 1);
        assert_eq!(shares_with_itself(&a), own, "{:?} {:?} {:?}", a.dtype(), a.shape(), a.strides());
        counts[usize::from(expected)] += 1;
        counts[2 + usize::from(own)] += 1;
    }
    assert!(counts.iter().all(|&c| c > 1000), "{counts:?}");
}

#[test]
fn many_axes_that_never_meet() {
    let memory = Tensor::empty("test", &[1 << 20], DType::Uint8).unwrap();
    let view = |offset: isize, strides: [i64; 4]| {
        let data = memory.data().wrapping_offset(offset);
        let (shape, strides) = (Dims::new(&[40, 40, 40, 40]), Dims::new(&strides));
        // SAFETY: 39 * (20_006 + 5_006 + 1_022 + 510) + 2 is below 2**20.
        unsafe { Tensor::from_parts(memory.storage().clone(), data, DType::Uint8, shape, strides, false) }
    };
    let a = view(0, [20_002, 5_002, 1_010, 506]);
    // All strides are even and the offset is odd.
    assert!(!share_memory(&a, &view(1, [20_006, 5_006, 1_022, 510])));
    assert!(share_memory(&a, &view(2, [20_006, 5_006, 1_022, 510])));
}
