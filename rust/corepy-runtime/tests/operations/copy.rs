//! Copies, conversions, fills and creation against plain loops.

use crate::layouts::{SHAPES, layouts, plain, strided, values};
use corepy_runtime::ops::{Arg, copy, create, join};
use corepy_runtime::{DType, Error, Scalar, Tensor};

const EVERY: [DType; 15] = corepy_runtime::dtype::ALL;

/// Small whole numbers, which every dtype holds exactly; in bool only 0 and 1.
fn small(dtype: DType) -> impl Fn(usize) -> f64 {
    move |i| if dtype == DType::Bool { (i % 3 == 0) as u8 as f64 } else { ((i * 7 + i / 5) % 120) as f64 }
}

#[test]
fn copies_of_every_layout_and_width_have_the_same_elements() {
    for dtype in [DType::Int8, DType::Bfloat16, DType::Float32, DType::Int64, DType::Complex128] {
        for shape in SHAPES {
            for (name, x) in layouts(dtype, shape, &small(dtype)) {
                let expected = values(&x);
                let copied = copy::copy(&x).unwrap();
                assert_eq!(values(&copied), expected, "copy {dtype:?} {shape:?} {name}");
                assert_eq!(copied.shape(), *shape);
                assert!(copied.is_aligned() && !copied.may_overlap(&x));
                let c = copy::contiguous(&x).unwrap();
                assert!(c.is_plain(), "{shape:?} {name}");
                assert_eq!(values(&c), expected, "contiguous {dtype:?} {shape:?} {name}");
                assert_eq!(c.data() == x.data(), x.is_plain());
            }
        }
    }
}

#[test]
fn copies_keep_the_order_of_axes() {
    let x = strided(DType::Float32, &[4, 6], &[4, 16], 0, &|i| i as f64);
    assert_eq!(copy::copy(&x).unwrap().strides(), &[4, 16]);
    assert_eq!(copy::astype(&x, DType::Float64, "astype").unwrap().strides(), &[8, 32]);
    assert_eq!(copy::contiguous(&x).unwrap().strides(), &[24, 4]);
}

#[test]
fn copies_keep_all_bits() {
    let bits: [u64; 4] = [0x7ff0_0000_0000_dead, 0xfff8_0000_0000_0001, 1 << 63, 1];
    let x = plain(DType::Float64, &[4], &|i| f64::from_bits(bits[i]));
    let view = x.view(24, &[4], &[-8]);
    let copied = copy::copy(&view).unwrap();
    for (i, expected) in bits.iter().rev().enumerate() {
        // SAFETY: the copy has four elements.
        let got = unsafe { copied.data().cast::<u64>().add(i).read() };
        assert_eq!(got, *expected);
    }
    // Bytes of a bool that are neither 0 nor 1 stay too.
    let bytes = plain(DType::Bool, &[3], &|_| 1.0);
    // SAFETY: three bytes.
    unsafe { bytes.data().add(1).write(7) };
    let copied = copy::copy(&bytes).unwrap();
    // SAFETY: three bytes.
    assert_eq!(unsafe { copied.data().add(1).read() }, 7);
}

#[test]
fn every_pair_of_dtypes_converts() {
    for from in EVERY {
        for to in EVERY {
            for shape in [&[1025i64][..], &[5, 7], &[300, 3]] {
                for (name, x) in layouts(from, shape, &small(from)) {
                    let got = copy::astype(&x, to, "astype");
                    let lost = from.real_part() != from && to.real_part() == to && to != DType::Bool;
                    if lost {
                        let error = got.err().map(|e| e.to_string()).unwrap_or_default();
                        assert!(error.contains("imaginary part would be lost"), "{error}");
                        continue;
                    }
                    let exact: Vec<f64> = values(&x)
                        .into_iter()
                        .map(|v| if to == DType::Bool { (v != 0.0) as u8 as f64 } else { v })
                        .collect();
                    assert_eq!(values(&got.unwrap()), exact, "{from:?} to {to:?} {shape:?} {name}");
                }
            }
        }
    }
}

#[test]
fn large_transposing_copies() {
    for (rows, columns) in [(300i64, 517i64), (1024, 256)] {
        for itemsize in [1i64, 2, 4, 8, 16] {
            let dtype = [DType::Uint8, DType::Uint16, DType::Float32, DType::Float64, DType::Complex128]
                [itemsize.trailing_zeros() as usize];
            let strides = [itemsize, itemsize * rows];
            let x = strided(dtype, &[rows, columns], &strides, 0, &|i| (i % 251) as f64);
            let got = copy::contiguous(&x).unwrap();
            assert_eq!(values(&got), values(&x), "{dtype:?}");
            // The other way round: a strided target of a contiguous source.
            copy::copy_into(
                "copy",
                &x.clone(),
                Arg::Tensor(&plain(dtype, &[rows, columns], &|i| (i % 13) as f64)),
            )
            .unwrap();
            assert_eq!(values(&x), (0..x.size()).map(|i| (i % 13) as f64).collect::<Vec<_>>());
        }
    }
    // Three axes turned round.
    let x = strided(DType::Int32, &[40, 50, 130], &[4, 160, 8000], 0, &|i| i as f64);
    assert_eq!(values(&copy::contiguous(&x).unwrap()), values(&x));
}

#[test]
fn sources_stretch_to_their_target() {
    for (to, from) in [
        (&[4i64, 5][..], &[5i64][..]),
        (&[4, 5], &[4, 1]),
        (&[4, 5], &[]),
        (&[300, 3], &[300, 1]),
        (&[300, 3], &[3]),
        (&[3, 300], &[3, 1]),
        (&[6, 2, 3], &[1, 2, 1]),
        (&[5], &[1, 1, 5]),
    ] {
        for (to_name, dst) in layouts(DType::Float64, to, &|_| -1.0) {
            for (from_name, src) in layouts(DType::Int16, from, &small(DType::Int16)) {
                copy::copy_into("setitem", &dst, Arg::Tensor(&src)).unwrap();
                let trimmed =
                    if from.len() > to.len() { values(&src) } else { crate::layouts::values_in(&src, to) };
                assert_eq!(values(&dst), trimmed, "{to:?} {to_name} from {from:?} {from_name}");
            }
        }
    }
    let dst = plain(DType::Float64, &[4], &|_| 0.0);
    let src = plain(DType::Float64, &[3], &|_| 0.0);
    let error = copy::copy_into("setitem", &dst, Arg::Tensor(&src)).unwrap_err();
    assert_eq!(error.to_string(), "[setitem] shape (3,) does not broadcast to (4,)");
}

#[test]
fn what_can_be_stored() {
    let store = |to: DType, from: DType| {
        let dst = plain(to, &[2], &|_| 0.0);
        copy::copy_into("setitem", &dst, Arg::Tensor(&plain(from, &[2], &|_| 1.0)))
    };
    assert!(store(DType::Float32, DType::Float64).is_ok());
    assert!(store(DType::Int8, DType::Uint64).is_ok());
    assert!(store(DType::Float16, DType::Int64).is_ok());
    assert!(store(DType::Complex64, DType::Bool).is_ok());
    for (to, from) in [
        (DType::Int64, DType::Float32),
        (DType::Float64, DType::Complex64),
        (DType::Bool, DType::Int8),
        (DType::Uint8, DType::Bfloat16),
    ] {
        let expected = Error::InPlaceDtype { op: "setitem", from: from.name(), to: to.name() };
        assert_eq!(store(to, from), Err(expected));
    }
    let complex = Arg::Scalar(Scalar::from_complex(1.0, 1.0));
    let real = plain(DType::Float32, &[2], &|_| 0.0);
    let lost = Error::ComplexToReal { op: "setitem", from: "complex128", to: "float32" };
    assert_eq!(copy::copy_into("setitem", &real, complex), Err(lost));
    let fixed = plain(DType::Float64, &[2], &|_| 0.0).into_read_only();
    let one = Arg::Scalar(Scalar::from_f64(1.0));
    assert!(copy::copy_into("setitem", &fixed, one).unwrap_err().to_string().contains("read-only"));
    assert_eq!(values(&fixed), [0.0, 0.0]);
}

#[test]
fn overlapping_copies_behave_as_if_the_source_were_copied_first() {
    for n in [10i64, 5000] {
        let x = plain(DType::Float32, &[n], &|i| (i % 1000) as f64);
        let before = values(&x);
        copy::copy_into("setitem", &x.view(4, &[n - 1], &[4]), Arg::Tensor(&x.view(0, &[n - 1], &[4])))
            .unwrap();
        assert_eq!(values(&x)[1..], before[..n as usize - 1]);
        assert_eq!(values(&x)[0], before[0]);
        let x = plain(DType::Float32, &[n], &|i| (i % 1000) as f64);
        copy::copy_into("setitem", &x, Arg::Tensor(&x.view(4 * (n - 1), &[n], &[-4]))).unwrap();
        let mut turned = before.clone();
        turned.reverse();
        assert_eq!(values(&x), turned);
    }
    let x = plain(DType::Int32, &[70, 70], &|i| i as f64);
    let expected = values(&x.view(0, &[70, 70], &[4, 280]));
    copy::copy_into("setitem", &x, Arg::Tensor(&x.view(0, &[70, 70], &[4, 280]))).unwrap();
    assert_eq!(values(&x), expected);
}

#[test]
fn fills_reach_every_element_and_no_other() {
    for dtype in EVERY {
        for shape in SHAPES {
            for (name, x) in layouts(dtype, shape, &|_| 0.0) {
                let range = x.storage().bytes();
                let bytes = || -> Vec<u8> {
                    // SAFETY: the storage has that many bytes.
                    (0..range).map(|i| unsafe { x.storage().data().add(i).read() }).collect()
                };
                let before = bytes();
                copy::fill(&x, &Scalar::from_bool(true)).unwrap();
                assert!(values(&x).iter().all(|&v| v == 1.0), "{dtype:?} {shape:?} {name}");
                copy::fill(&x, &Scalar::from_bool(false)).unwrap();
                assert_eq!(bytes(), before, "{dtype:?} {shape:?} {name}");
            }
        }
    }
}

#[test]
fn sixty_four_axes() {
    let mut shape = [1i64; 64];
    (shape[3], shape[20], shape[40], shape[63]) = (3, 2, 4, 5);
    for (name, x) in layouts(DType::Int32, &shape, &|i| i as f64) {
        assert_eq!(values(&copy::copy(&x).unwrap()), values(&x), "{name}");
    }
    let mut twos = [1i64; 64];
    twos[..12].fill(2);
    for (name, x) in layouts(DType::Int16, &twos, &|i| i as f64) {
        assert_eq!(values(&copy::contiguous(&x).unwrap()), values(&x), "{name}");
    }
}

#[test]
fn creation() {
    let int = Scalar::from_i64;
    let float = Scalar::from_f64;
    let seven = create::full("full", &[3, 2], &Scalar::from_i64(7).cast(DType::Float32)).unwrap();
    assert_eq!((values(&seven), seven.dtype()), (vec![7.0; 6], DType::Float32));
    assert!(values(&create::zeros("zeros", &[5000], DType::Complex128).unwrap()).iter().all(|&v| v == 0.0));

    let eye = |n, m, k| values(&create::eye(n, m, k, DType::Int8).unwrap());
    for (n, m) in [(0, 3), (3, 0), (1, 1), (4, 4), (3, 5), (5, 2)] {
        for k in [-9, -4, -1, 0, 1, 4, i64::MAX, i64::MIN] {
            let expected: Vec<f64> = (0..n * m)
                .map(|i| (i128::from(i % m) - i128::from(i / m) == i128::from(k)) as u8 as f64)
                .collect();
            assert_eq!(eye(n, m, k), expected, "{n} {m} {k}");
        }
    }
    assert!(create::eye(-1, 2, 0, DType::Int8).is_err());

    let ramp = |a, b, c| values(&create::arange(&int(a), &int(b), &int(c), DType::Int64).unwrap());
    assert_eq!(ramp(0, 5, 1), [0.0, 1.0, 2.0, 3.0, 4.0]);
    assert_eq!(ramp(1, 8, 3), [1.0, 4.0, 7.0]);
    assert_eq!(ramp(1, 7, 3), [1.0, 4.0]);
    assert_eq!(ramp(5, 0, -2), [5.0, 3.0, 1.0]);
    assert_eq!(ramp(5, 0, 2), [0.0; 0]);
    assert_eq!(ramp(3, 3, 1), [0.0; 0]);
    assert_eq!(ramp(i64::MAX - 2, i64::MAX, 1).len(), 2);
    assert_eq!(ramp(i64::MIN, i64::MAX, i64::MAX), [i64::MIN as f64, -1.0, (i64::MAX - 1) as f64]);
    let long = create::arange(&int(0), &int(100_000), &int(1), DType::Float32).unwrap();
    assert_eq!(values(&long), (0..100_000).map(f64::from).collect::<Vec<_>>());
    let high =
        create::arange(&Scalar::from_u64(u64::MAX - 2), &Scalar::from_u64(u64::MAX), &int(1), DType::Uint64);
    let high = high.unwrap();
    // SAFETY: two elements.
    assert_eq!(unsafe { high.data().cast::<u64>().add(1).read() }, u64::MAX - 1);
    assert!(create::arange(&int(0), &int(5), &int(0), DType::Int64).is_err());
    assert!(create::arange(&int(i64::MIN), &int(i64::MAX), &int(1), DType::Int64).is_err());

    let floats = |a, b, c| create::arange(&float(a), &float(b), &float(c), DType::Float64);
    assert_eq!(values(&floats(0.0, 1.0, 0.25).unwrap()), [0.0, 0.25, 0.5, 0.75]);
    assert_eq!(values(&floats(1.0, 0.0, -0.4).unwrap()), [1.0, 1.0 + -0.4, 1.0 + 2.0 * -0.4]);
    assert!(floats(0.0, f64::INFINITY, 1.0).is_err());
    assert!(floats(0.0, f64::NAN, 1.0).is_err());
    assert!(floats(0.0, 1.0, 0.0).is_err());
    assert_eq!(values(&floats(0.0, -1.0, 1.0).unwrap()), [0.0; 0]);

    let line =
        |a, b, n, end| values(&create::linspace(&float(a), &float(b), n, DType::Float64, end).unwrap());
    assert_eq!(line(0.0, 1.0, 5, true), [0.0, 0.25, 0.5, 0.75, 1.0]);
    assert_eq!(line(0.0, 1.0, 4, false), [0.0, 0.25, 0.5, 0.75]);
    assert_eq!(line(2.0, 9.0, 1, true), [2.0]);
    assert_eq!(line(2.0, 9.0, 0, true), [0.0; 0]);
    assert_eq!(*line(0.1, 0.7, 4999, true).last().unwrap(), 0.7);
    assert_eq!(line(-1e308, 1e308, 3, true), [-1e308, 0.0, 1e308]);
    let c = create::linspace(
        &Scalar::from_complex(0.0, 2.0),
        &Scalar::from_complex(1.0, 0.0),
        3,
        DType::Complex64,
        true,
    );
    let c = c.unwrap();
    let imaginary = c.view_as(4, DType::Float32, &[3], &[8]);
    assert_eq!((values(&c), values(&imaginary)), (vec![0.0, 0.5, 1.0], vec![2.0, 1.0, 0.0]));
}

#[test]
fn joining() {
    let a = plain(DType::Int8, &[2, 3], &|i| i as f64);
    let b = strided(DType::Float32, &[1, 3], &[4, 4], 1, &|i| 10.0 + i as f64);
    let c = join::concat(&[&a, &b], Some(0)).unwrap();
    assert_eq!((c.shape(), c.dtype()), (&[3i64, 3][..], DType::Float32));
    assert_eq!(values(&c), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 11.0, 12.0]);
    let d = join::concat(&[&a, &a.view(0, &[2, 1], &[3, 1])], Some(-1)).unwrap();
    assert_eq!(values(&d), [0.0, 1.0, 2.0, 0.0, 3.0, 4.0, 5.0, 3.0]);
    let e =
        join::concat(&[&a.view(0, &[3, 2], &[1, 3]), &b, &plain(DType::Int8, &[], &|_| 9.0)], None).unwrap();
    assert_eq!(values(&e), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0, 10.0, 11.0, 12.0, 9.0]);
    let empty = plain(DType::Int8, &[0, 3], &|_| 0.0);
    assert_eq!(join::concat(&[&empty, &a, &empty], Some(0)).unwrap().shape(), &[2, 3]);
    for axis in [0, 1, 2, -1] {
        let s = join::stack(&[&a, &a, &a, &a], axis).unwrap();
        let at = if axis < 0 { 2 } else { axis as usize };
        let mut shape = vec![2, 3];
        shape.insert(at, 4);
        assert_eq!(s.shape(), shape);
        let mut strides = s.strides().to_vec();
        let step = strides.remove(at);
        for i in 0..4 {
            assert_eq!(values(&s.view(i * step, &[2, 3], &strides)), values(&a));
        }
    }
    let zero = plain(DType::Float64, &[], &|_| 4.0);
    assert_eq!(values(&join::stack(&[&zero, &zero], 0).unwrap()), [4.0, 4.0]);

    let message = |r: corepy_runtime::Result<Tensor>| r.err().map(|e| e.to_string()).unwrap_or_default();
    assert_eq!(message(join::concat(&[] as &[Tensor], Some(0))), "[concat] needs at least one tensor");
    assert_eq!(
        message(join::concat(&[&a, &zero], Some(0))),
        "[concat] shapes (2, 3) and () differ outside axis 0"
    );
    assert!(message(join::concat(&[&zero], Some(0))).contains("at least 1 axis"));
    assert!(message(join::stack(&[&a, &b], 0)).contains("shapes (2, 3) and (1, 3) differ"));
    let half = plain(DType::Float16, &[2], &|i| i as f64);
    assert_eq!(join::concat(&[&half, &half], Some(0)).unwrap().dtype(), DType::Float16);
    assert!(message(join::concat(&[&half, &a], None)).contains("float16, which is for storage"));
}
