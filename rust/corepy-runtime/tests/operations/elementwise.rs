//! Elementwise operations over every layout against plain loops: broadcasting, dtypes, in place, faults.

use crate::layouts::{SHAPES, layouts, plain, strided, values, values_in};
use corepy_runtime::generated::ops::BINARY;
use corepy_runtime::ops::elementwise::{Arg, binary, binary_into, compute_dtype, unary};
use corepy_runtime::ops::select::where_;
use corepy_runtime::{Binary, DType, Error, Scalar, Tensor, Unary};

const NUMBERS: [DType; 6] =
    [DType::Int8, DType::Int32, DType::Uint64, DType::Float32, DType::Float64, DType::Complex128];

fn ramp(by: usize, top: usize) -> impl Fn(usize) -> f64 {
    move |i| ((i * by + i / 11) % top) as f64
}

fn scalar(dtype: DType, value: f64) -> Scalar {
    Scalar::from_f64(value).cast(dtype)
}

/// What an operation gives for small whole numbers, on which every dtype agrees.
fn oracle(op: Binary, a: f64, b: f64) -> f64 {
    match op {
        Binary::Add => a + b,
        Binary::Subtract => a - b,
        Binary::Multiply => a * b,
        Binary::Minimum => a.min(b),
        Binary::Less => (a < b) as u8 as f64,
        Binary::Equal => (a == b) as u8 as f64,
        Binary::LogicalAnd => (a != 0.0 && b != 0.0) as u8 as f64,
        _ => unreachable!("no oracle for {op:?}"),
    }
}

#[test]
fn every_layout_against_every_other() {
    for dtype in NUMBERS {
        for shape in SHAPES {
            // Differences stay above 0 and products below 128, so that int8 and uint64 hold them.
            for (a_name, a) in layouts(dtype, shape, &|i| 5.0 + ramp(3, 4)(i)) {
                for (b_name, b) in layouts(dtype, shape, &ramp(7, 6)) {
                    for op in [Binary::Subtract, Binary::Multiply, Binary::Equal] {
                        let got = binary(op, Arg::Tensor(&a), Arg::Tensor(&b)).unwrap();
                        let expected: Vec<f64> =
                            values(&a).iter().zip(values(&b)).map(|(x, y)| oracle(op, *x, y)).collect();
                        assert_eq!(values(&got), expected, "{op:?} {dtype:?} {shape:?} {a_name} {b_name}");
                        assert_eq!(got.shape(), *shape);
                    }
                }
            }
        }
    }
}

#[test]
fn broadcasting() {
    let cases: &[(&[i64], &[i64], &[i64])] = &[
        (&[], &[4], &[4]),
        (&[4], &[1], &[4]),
        (&[3, 1], &[1, 4], &[3, 4]),
        (&[2000, 8], &[8], &[2000, 8]),
        (&[2000, 8], &[2000, 1], &[2000, 8]),
        (&[1, 8], &[2000, 1], &[2000, 8]),
        (&[300, 130], &[130], &[300, 130]),
        (&[300, 130], &[300, 1], &[300, 130]),
        (&[1, 130], &[300, 1], &[300, 130]),
        (&[40, 1, 33], &[5, 1], &[40, 5, 33]),
        (&[100, 10, 8], &[10, 1], &[100, 10, 8]),
        (&[100, 1, 8], &[1, 10, 1], &[100, 10, 8]),
        (&[0, 3], &[1, 3], &[0, 3]),
        (&[1], &[0], &[0]),
        (&[2, 1, 3, 1, 5, 1], &[4, 1, 6, 1, 7], &[2, 4, 3, 6, 5, 7]),
    ];
    for (a_shape, b_shape, shape) in cases {
        for dtype in [DType::Float32, DType::Int64] {
            for (a_name, a) in layouts(dtype, a_shape, &ramp(3, 50)) {
                for (b_name, b) in layouts(dtype, b_shape, &ramp(7, 40)) {
                    for (x, y) in [(&a, &b), (&b, &a)] {
                        let got = binary(Binary::Subtract, Arg::Tensor(x), Arg::Tensor(y)).unwrap();
                        let pairs = values_in(x, shape).into_iter().zip(values_in(y, shape));
                        let expected: Vec<f64> = pairs.map(|(p, q)| p - q).collect();
                        assert_eq!(got.shape(), *shape);
                        assert_eq!(values(&got), expected, "{a_shape:?} {a_name} {b_shape:?} {b_name}");
                    }
                }
            }
        }
    }
    let a = plain(DType::Float32, &[2, 3], &|_| 0.0);
    let b = plain(DType::Float32, &[4], &|_| 0.0);
    assert_eq!(
        binary(Binary::Add, Arg::Tensor(&a), Arg::Tensor(&b)).err().unwrap().to_string(),
        "[add] shapes (2, 3) and (4,) do not broadcast: axis 1 has 3 and 4"
    );
}

#[test]
fn dtypes_meet() {
    for a_dtype in corepy_runtime::dtype::ALL {
        for b_dtype in corepy_runtime::dtype::ALL {
            for op in [Binary::Add, Binary::Minimum, Binary::Less, Binary::LogicalAnd] {
                for shape in [&[5i64][..], &[1500], &[300, 3]] {
                    let a = plain(a_dtype, shape, &ramp(3, 2));
                    let b = strided(
                        b_dtype,
                        shape,
                        layouts(b_dtype, shape, &|_| 0.0)[4].1.strides(),
                        0,
                        &ramp(5, 2),
                    );
                    let got = binary(op, Arg::Tensor(&a), Arg::Tensor(&b));
                    match compute_dtype(&BINARY[op as usize], a_dtype, b_dtype) {
                        Err(refused) => assert_eq!(got.err(), Some(refused)),
                        Ok((_, result)) => {
                            let got = got.unwrap();
                            let pairs = values(&a).into_iter().zip(values(&b));
                            let expected: Vec<f64> = pairs.map(|(x, y)| oracle(op, x, y)).collect();
                            assert_eq!(
                                (values(&got), got.dtype()),
                                (expected, result),
                                "{op:?} {a_dtype:?} {b_dtype:?}"
                            );
                        }
                    }
                }
            }
        }
    }
    let rule = |op: Binary, a, b| compute_dtype(&BINARY[op as usize], a, b);
    assert_eq!(rule(Binary::Divide, DType::Int8, DType::Int8), Ok((DType::Float64, DType::Float64)));
    assert_eq!(rule(Binary::Less, DType::Int8, DType::Float32), Ok((DType::Float32, DType::Bool)));
    assert_eq!(rule(Binary::LogicalOr, DType::Int8, DType::Complex64), Ok((DType::Bool, DType::Bool)));
    let message =
        |r: corepy_runtime::Result<(DType, DType)>| r.err().map(|e| e.to_string()).unwrap_or_default();
    assert!(
        message(rule(Binary::Add, DType::Bool, DType::Bool))
            .starts_with("[add] does not take bool; it takes int8")
    );
    assert!(message(rule(Binary::Divide, DType::Bool, DType::Bool)).contains("it takes int8, "));
    assert!(
        message(rule(Binary::Add, DType::Float32, DType::Float16)).contains("float16, which is for storage")
    );
}

#[test]
fn scalars_on_either_side() {
    for shape in SHAPES {
        for (name, x) in layouts(DType::Float32, shape, &ramp(3, 50)) {
            let two = Arg::Scalar(scalar(DType::Float32, 2.0));
            let right = binary(Binary::Subtract, Arg::Tensor(&x), two).unwrap();
            let left = binary(Binary::Subtract, two, Arg::Tensor(&x)).unwrap();
            let expected: Vec<f64> = values(&x).iter().map(|v| v - 2.0).collect();
            assert_eq!(values(&right), expected, "{shape:?} {name}");
            assert_eq!(
                values(&left),
                expected.iter().map(|v| -v + 0.0).collect::<Vec<_>>(),
                "{shape:?} {name}"
            );
        }
    }
    let x = plain(DType::Int32, &[3], &ramp(1, 9));
    let half = Arg::Scalar(Scalar::from_f64(0.5));
    let sum = binary(Binary::Add, Arg::Tensor(&x), half).unwrap();
    assert_eq!((values(&sum), sum.dtype()), (vec![0.5, 1.5, 2.5], DType::Float64));
    let both = binary(Binary::Add, half, half).unwrap();
    assert_eq!((values(&both), both.ndim()), (vec![1.0], 0));
}

#[test]
fn one_operand() {
    for shape in SHAPES {
        for (name, x) in layouts(DType::Float64, shape, &ramp(3, 50)) {
            let got = unary(Unary::Negative, &x).unwrap();
            assert_eq!(values(&got), values(&x).iter().map(|v| -v).collect::<Vec<_>>(), "{shape:?} {name}");
        }
        for (name, x) in layouts(DType::Int16, shape, &ramp(3, 50)) {
            let got = unary(Unary::Sqrt, &x).unwrap();
            assert_eq!(got.dtype(), DType::Float64);
            assert_eq!(
                values(&got),
                values(&x).iter().map(|v| v.sqrt()).collect::<Vec<_>>(),
                "{shape:?} {name}"
            );
            let got = unary(Unary::LogicalNot, &x).unwrap();
            assert_eq!(values(&got), values(&x).iter().map(|v| (*v == 0.0) as u8 as f64).collect::<Vec<_>>());
        }
        for (name, x) in layouts(DType::Complex64, shape, &ramp(3, 50)) {
            let got = unary(Unary::Abs, &x).unwrap();
            assert_eq!((got.dtype(), values(&got)), (DType::Float32, values(&x)), "{shape:?} {name}");
            let parts = [unary(Unary::Real, &x).unwrap(), unary(Unary::Imag, &x).unwrap()];
            assert_eq!([parts[0].dtype(), parts[1].dtype()], [DType::Float32; 2]);
            assert_eq!(values(&parts[0]), values(&x), "{shape:?} {name}");
            assert!(values(&parts[1]).iter().all(|v| *v == 0.0), "{shape:?} {name}");
            let mirrored = unary(Unary::Conj, &x).unwrap();
            assert_eq!((mirrored.dtype(), values(&mirrored)), (DType::Complex64, values(&x)));
        }
    }
    let real = plain(DType::Float64, &[2], &ramp(1, 3));
    assert!(matches!(unary(Unary::Imag, &real).err(), Some(Error::DtypeRefused { op: "imag", .. })));
    let half = plain(DType::Float16, &[2], &ramp(1, 3));
    assert_eq!(unary(Unary::Abs, &half).err(), Some(Error::StorageDtype { op: "abs", dtype: "float16" }));
}

#[test]
fn results_keep_a_shared_order_of_axes() {
    let t = |strides: &[i64]| strided(DType::Float32, &[4, 6], strides, 0, &ramp(1, 30));
    let (c, f, padded) = (t(&[24, 4]), t(&[4, 16]), t(&[4, 32]));
    let strides = |a: &Tensor, b: &Tensor| {
        binary(Binary::Add, Arg::Tensor(a), Arg::Tensor(b)).unwrap().strides().to_vec()
    };
    assert_eq!(strides(&f, &f), [4, 16]);
    assert_eq!(strides(&f, &padded), [4, 16]);
    assert_eq!(strides(&f, &c), [24, 4]);
    assert_eq!(strides(&c, &f), [24, 4]);
    let row = plain(DType::Float32, &[6], &ramp(1, 5));
    assert_eq!(strides(&f, &row), [4, 16]);
    let negative = unary(Unary::Negative, &f).unwrap();
    assert_eq!((negative.strides(), values(&negative)[1]), (&[4i64, 16][..], -1.0));
}

#[test]
fn in_place_over_every_layout() {
    for shape in SHAPES {
        for (to_dtype, from_dtype) in
            [(DType::Float32, DType::Float32), (DType::Float32, DType::Float64), (DType::Int8, DType::Int64)]
        {
            for (b_name, b) in layouts(from_dtype, shape, &ramp(7, 40)) {
                for (name, x) in layouts(to_dtype, shape, &ramp(3, 50)) {
                    let expected: Vec<f64> = values(&x).iter().zip(values(&b)).map(|(x, y)| x + y).collect();
                    binary_into(Binary::Add, &x, Arg::Tensor(&b)).unwrap();
                    assert_eq!(values(&x), expected, "{shape:?} {name} {b_name} {to_dtype:?}");
                    binary_into(Binary::Subtract, &x, Arg::Scalar(scalar(to_dtype, 1.0))).unwrap();
                    assert_eq!(values(&x), expected.iter().map(|v| v - 1.0).collect::<Vec<_>>());
                }
            }
        }
    }
    // Narrow columns of a wide matrix, short runs on both sides.
    let wide = plain(DType::Float32, &[3000, 7], &ramp(3, 50));
    let part = wide.view(8, &[3000, 3], &[28, 4]);
    let expected: Vec<f64> =
        values(&part).iter().zip([1.0, 2.0, 3.0].iter().cycle()).map(|(x, y)| x * y).collect();
    let outside = values(&wide.view(0, &[3000, 2], &[28, 4]));
    binary_into(Binary::Multiply, &part, Arg::Tensor(&plain(DType::Float32, &[3], &|i| i as f64 + 1.0)))
        .unwrap();
    assert_eq!(values(&part), expected);
    assert_eq!(values(&wide.view(0, &[3000, 2], &[28, 4])), outside);
}

#[test]
fn in_place_with_overlap() {
    for n in [9i64, 5000] {
        let fresh = || plain(DType::Float64, &[n], &ramp(3, 50));
        let x = fresh();
        binary_into(Binary::Add, &x, Arg::Tensor(&x)).unwrap();
        assert_eq!(values(&x), values(&fresh()).iter().map(|v| v + v).collect::<Vec<_>>());
        let x = fresh();
        binary_into(Binary::Add, &x, Arg::Tensor(&x.view(8 * (n - 1), &[n], &[-8]))).unwrap();
        let before = values(&fresh());
        let expected: Vec<f64> = before.iter().zip(before.iter().rev()).map(|(a, b)| a + b).collect();
        assert_eq!(values(&x), expected);
        let x = fresh();
        binary_into(Binary::Add, &x.view(8, &[n - 1], &[8]), Arg::Tensor(&x.view(0, &[n - 1], &[8])))
            .unwrap();
        let expected: Vec<f64> = before.windows(2).map(|p| p[0] + p[1]).collect();
        assert_eq!(values(&x)[1..], expected);
        let x = fresh();
        binary_into(Binary::Subtract, &x, Arg::Tensor(&x.view(0, &[], &[]))).unwrap();
        assert_eq!(values(&x), before.iter().map(|v| v - before[0]).collect::<Vec<_>>());
    }
    let x = plain(DType::Int32, &[60, 60], &ramp(3, 50));
    let turned = x.view(0, &[60, 60], &[4, 240]);
    let expected: Vec<f64> = values(&x).iter().zip(values(&turned)).map(|(a, b)| a + b).collect();
    binary_into(Binary::Add, &x, Arg::Tensor(&turned)).unwrap();
    assert_eq!(values(&x), expected);
}

#[test]
fn in_place_refusals() {
    let float = plain(DType::Float32, &[3], &ramp(1, 3));
    let int = plain(DType::Int32, &[3], &ramp(1, 3));
    let wide = plain(DType::Float32, &[2, 3], &ramp(1, 3));
    let refused = |op, out: &Tensor, b: &Tensor| binary_into(op, out, Arg::Tensor(b)).unwrap_err();
    let stored = |from, to| Error::InPlaceDtype { op: "add", from, to };
    assert_eq!(refused(Binary::Add, &int, &float), stored("float64", "int32"));
    let complex = plain(DType::Complex64, &[3], &ramp(1, 3));
    assert_eq!(refused(Binary::Add, &float, &complex), stored("complex64", "float32"));
    assert!(matches!(refused(Binary::Divide, &int, &int), Error::InPlaceDtype { .. }));
    let flags = plain(DType::Bool, &[3], &ramp(1, 2));
    assert_eq!(refused(Binary::Add, &flags, &int), stored("int32", "bool"));
    assert_eq!(
        refused(Binary::Add, &float, &wide).to_string(),
        "[add] shape (2, 3) does not broadcast to (3,)"
    );
    let shown = wide.broadcast_to("broadcast_to", &[4, 2, 3]).unwrap();
    let error = refused(Binary::Add, &shown, &float).to_string();
    assert!(error.contains("read-only") && error.contains("broadcast view"), "{error}");
    binary_into(Binary::Add, &complex, Arg::Tensor(&int)).unwrap();
    assert_eq!(values(&complex), [0.0, 2.0, 4.0]);
    binary_into(Binary::BitwiseAnd, &int, Arg::Tensor(&flags)).unwrap();
    assert_eq!(values(&int), [0.0, 1.0, 0.0]);
}

#[test]
fn faults_name_the_lowest_element() {
    // Zeros at two places, of which the second comes first in memory.
    for (shape, zeros, index) in [
        (&[7i64][..], [3usize, 5], "3"),
        (&[4, 6], [9, 20], "(1, 3)"),
        (&[300, 200], [12_345, 50_000], "(61, 145)"),
        (&[100_000], [70_000, 99_999], "70000"),
        (&[], [0, 0], "()"),
        (&[3000, 5], [7001, 14_999], "(1400, 1)"),
    ] {
        let size: i64 = shape.iter().product();
        for (name, b) in layouts(DType::Int32, shape, &|i| if zeros.contains(&i) { 0.0 } else { 2.0 }) {
            let a = plain(DType::Int32, shape, &ramp(3, 50));
            for op in [Binary::FloorDivide, Binary::Remainder] {
                let error = binary(op, Arg::Tensor(&a), Arg::Tensor(&b)).err().unwrap();
                let op = BINARY[op as usize].name;
                assert_eq!(error, Error::ZeroDivision { op, index: index.to_owned() }, "{shape:?} {name}");
            }
            // Nothing is written in place.
            let before = values(&a);
            assert!(binary_into(Binary::FloorDivide, &a, Arg::Tensor(&b)).is_err());
            assert_eq!(values(&a), before);
            let wide = plain(DType::Int64, shape, &ramp(3, 50));
            assert!(binary(Binary::Remainder, Arg::Tensor(&wide), Arg::Tensor(&b)).is_err(), "{size}");
        }
    }
    let a = plain(DType::Int64, &[2, 3], &ramp(1, 50));
    let zero = Arg::Scalar(Scalar::from_i64(0));
    let message = |r: corepy_runtime::Result<()>| r.err().map(|e| e.to_string()).unwrap_or_default();
    let divided = binary(Binary::FloorDivide, Arg::Tensor(&a), zero).map(|_| ());
    assert_eq!(message(divided), "[floor_divide] integer division by zero at index (0, 0)");
    let divided = binary_into(Binary::Remainder, &a, zero);
    assert_eq!(message(divided), "[remainder] integer division by zero at index (0, 0)");
    binary_into(Binary::FloorDivide, &a, Arg::Scalar(Scalar::from_i64(2))).unwrap();
    assert_eq!(values(&a), [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]);
    let none = plain(DType::Int64, &[0], &ramp(1, 50));
    assert!(binary(Binary::FloorDivide, Arg::Tensor(&none), zero).is_ok());
    assert!(binary_into(Binary::FloorDivide, &none, zero).is_ok());

    let minus = plain(DType::Int8, &[3], &|i| if i == 1 { -2.0 } else { 2.0 });
    let powered = binary(Binary::Pow, Arg::Tensor(&minus), Arg::Tensor(&minus)).map(|_| ());
    assert_eq!(
        message(powered),
        "[pow] integers to a negative power are not integers: exponent -2 at index 1"
    );
    let x = plain(DType::Float32, &[2, 2], &ramp(1, 9));
    let y = plain(DType::Float32, &[2], &|i| if i == 0 { 2.0 } else { 1.25 });
    let powered = binary(Binary::Pow, Arg::Tensor(&x), Arg::Tensor(&y)).map(|_| ());
    assert_eq!(
        message(powered),
        "[pow] exponent 1.25 at index (0, 1): only whole numbers and 0.5 are supported"
    );
    let powered = binary_into(Binary::Pow, &x, Arg::Scalar(Scalar::from_f64(-0.25)));
    assert!(message(powered).contains("exponent -0.25 at index (0, 0)"));
    assert_eq!(values(&x), [0.0, 1.0, 2.0, 3.0]);
}

#[test]
fn powers_by_scalars() {
    let inf = f64::INFINITY;
    let x = plain(DType::Float64, &[6], &|i| [-0.0, -inf, inf, 4.0, -3.0, 1e-200][i]);
    let to =
        |e: f64| values(&binary(Binary::Pow, Arg::Tensor(&x), Arg::Scalar(Scalar::from_f64(e))).unwrap());
    let squares = to(2.0);
    assert_eq!(squares, [0.0, inf, inf, 16.0, 9.0, 0.0]);
    let roots = to(0.5);
    assert_eq!(roots[..4], [0.0, inf, inf, 2.0]);
    assert!(roots[0].is_sign_positive() && roots[4].is_nan());
    assert_eq!(to(0.0), [1.0; 6]);
    assert_eq!(to(-1.0)[..5], [-inf, -0.0, 0.0, 0.25, 1.0 / -3.0]);
}

#[test]
fn squares_have_the_bits_of_products() {
    for n in [100i64, 5000] {
        for dtype in [DType::Float32, DType::Float64, DType::Complex64, DType::Complex128, DType::Int16] {
            let parts = dtype.itemsize() / dtype.real_part().itemsize();
            let x = plain(dtype, &[n], &|i| (i as f64 - 40.0) * 1.23456789 + 0.1);
            // Imaginary parts, for complex dtypes.
            for i in 0..if parts == 2 { n as usize } else { 0 } {
                let at = x.data().wrapping_add(i * dtype.itemsize() + dtype.real_part().itemsize());
                crate::layouts::put(at, dtype.real_part(), (i as f64 * 0.777).sin() * 50.0);
            }
            let two = Arg::Scalar(scalar(dtype, 2.0));
            let powered = binary(Binary::Pow, Arg::Tensor(&x), two).unwrap();
            let product = binary(Binary::Multiply, Arg::Tensor(&x), Arg::Tensor(&x)).unwrap();
            let bytes = |t: &Tensor| -> Vec<u8> {
                // SAFETY: a contiguous tensor's memory.
                (0..t.size() * t.itemsize()).map(|i| unsafe { t.data().add(i).read() }).collect()
            };
            assert_eq!(bytes(&powered), bytes(&product), "{dtype:?} {n}");
        }
    }
}

#[test]
fn operands_that_are_the_same_elements() {
    let check = |op: Binary, a: &Tensor, b: &Tensor, what: &str| {
        let got = binary(op, Arg::Tensor(a), Arg::Tensor(b)).unwrap();
        let expected: Vec<f64> = values(a)
            .iter()
            .zip(values(b))
            .map(|(x, y)| if op == Binary::Divide { x / y } else { oracle(op, *x, y) })
            .collect();
        assert_eq!(values(&got), expected, "{op:?} {:?} {:?} {what}", a.dtype(), a.shape());
    };
    for dtype in NUMBERS {
        for shape in SHAPES {
            for (name, x) in layouts(dtype, shape, &|i| 1.0 + ramp(3, 9)(i)) {
                check(Binary::Multiply, &x, &x, name);
                // Integers are converted first.
                check(Binary::Divide, &x, &x, name);
            }
        }
    }
    // One memory, but not the same elements: other strides, another start, another dtype.
    let width = 90i64;
    let x = plain(DType::Int16, &[width * width], &ramp(7, 150));
    let square = x.view(0, &[width, width], &[2 * width, 2]);
    let turned = x.view(0, &[width, width], &[2, 2 * width]);
    check(Binary::Subtract, &square, &turned, "turned");
    check(Binary::Subtract, &turned, &square, "turned");
    check(Binary::Add, &turned, &turned, "twice turned");
    let apart = x.view(0, &[2000], &[6]);
    check(Binary::Subtract, &apart, &x.view(2, &[2000], &[6]), "one on");
    check(Binary::Subtract, &apart, &x.view(0, &[2000], &[4]), "nearer");
    check(Binary::Add, &apart, &x.view(0, &[2000], &[0]), "the first");
    let below = plain(DType::Int16, &[6000], &|i| ramp(7, 150)(i) - 75.0);
    let signed = below.view(0, &[2000], &[6]);
    check(Binary::Subtract, &signed, &below.view_as(0, DType::Uint16, &[2000], &[6]), "unsigned");
    // And in place, where the first operand is written.
    let own = strided(DType::Float32, &[3000], &[12], 0, &ramp(3, 50));
    let before = values(&own);
    binary_into(Binary::Add, &own, Arg::Tensor(&own)).unwrap();
    assert_eq!(values(&own), before.iter().map(|x| x + x).collect::<Vec<f64>>());
}

#[test]
fn where_takes_every_layout_and_keeps_bits() {
    for shape in SHAPES {
        for (c_name, c) in layouts(DType::Bool, shape, &ramp(3, 2)) {
            for (name, a) in layouts(DType::Float32, shape, &ramp(3, 50)) {
                let b = plain(DType::Float32, shape, &|_| -7.0);
                let expected: Vec<f64> = values(&c)
                    .iter()
                    .zip(values(&a))
                    .map(|(c, a)| if *c != 0.0 { a } else { -7.0 })
                    .collect();
                let got = where_(&c, Arg::Tensor(&a), Arg::Tensor(&b)).unwrap();
                assert_eq!(values(&got), expected, "{shape:?} {c_name} {name}");
                let got = where_(&c, Arg::Tensor(&a), Arg::Scalar(scalar(DType::Float32, -7.0))).unwrap();
                assert_eq!(values(&got), expected, "{shape:?} {c_name} {name} scalar");
            }
        }
    }
    let column = plain(DType::Int16, &[300, 1], &|i| (i % 3) as f64);
    let row = plain(DType::Int8, &[5], &ramp(1, 50));
    let got = where_(&column, Arg::Tensor(&row), Arg::Scalar(Scalar::from_f64(0.5))).unwrap();
    assert_eq!((got.shape(), got.dtype()), (&[300i64, 5][..], DType::Float64));
    let expected: Vec<f64> = (0..1500).map(|i| if i / 5 % 3 != 0 { (i % 5) as f64 } else { 0.5 }).collect();
    assert_eq!(values(&got), expected);
    let both = where_(&column, Arg::Scalar(Scalar::from_i64(1)), Arg::Scalar(Scalar::from_i64(2))).unwrap();
    assert_eq!(values(&both)[..4], [2.0, 1.0, 1.0, 2.0]);

    let nan = plain(DType::Float64, &[2], &|_| f64::from_bits(0x7ff0_0000_0000_beef));
    let got = where_(&plain(DType::Bool, &[2], &ramp(1, 2)), Arg::Tensor(&nan), Arg::Tensor(&nan)).unwrap();
    // SAFETY: two elements.
    assert_eq!(unsafe { got.data().cast::<u64>().add(1).read() }, 0x7ff0_0000_0000_beef);
    let half = plain(DType::Float16, &[2], &ramp(1, 3));
    let yes = plain(DType::Bool, &[2], &|_| 1.0);
    assert_eq!(where_(&yes, Arg::Tensor(&half), Arg::Tensor(&half)).unwrap().dtype(), DType::Float16);
    assert!(where_(&yes, Arg::Tensor(&half), Arg::Tensor(&nan)).is_err());
}

#[test]
fn large_operands_in_tiles() {
    let n = 200_003;
    let a = plain(DType::Float32, &[n], &ramp(3, 5000));
    let b = plain(DType::Float32, &[n], &ramp(7, 4000));
    let got = binary(Binary::Add, Arg::Tensor(&a), Arg::Tensor(&b)).unwrap();
    let expected: Vec<f64> = values(&a).iter().zip(values(&b)).map(|(x, y)| x + y).collect();
    assert_eq!(values(&got), expected);
    let back = a.view(4 * (n - 1), &[n], &[-4]);
    let got = binary(Binary::Add, Arg::Tensor(&back), Arg::Tensor(&b)).unwrap();
    let expected: Vec<f64> = values(&back).iter().zip(values(&b)).map(|(x, y)| x + y).collect();
    assert_eq!(values(&got), expected);
    // A transposed operand that is walked in crossed blocks, with ragged edges.
    let c = strided(DType::Float32, &[301, 517], &[4, 1204], 0, &ramp(3, 5000));
    let d = plain(DType::Int32, &[301, 517], &ramp(5, 3000));
    let got = binary(Binary::Subtract, Arg::Tensor(&c), Arg::Tensor(&d)).unwrap();
    let expected: Vec<f64> = values(&c).iter().zip(values(&d)).map(|(x, y)| x - y).collect();
    assert_eq!(values(&got), expected);
}

#[test]
fn sixty_four_axes() {
    let mut shape = [1i64; 64];
    (shape[0], shape[7], shape[30], shape[62]) = (3, 5, 2, 40);
    for (name, a) in layouts(DType::Int32, &shape, &ramp(3, 50)) {
        for (other, b) in layouts(DType::Int32, &shape[40..], &ramp(7, 40)) {
            let got = binary(Binary::Add, Arg::Tensor(&a), Arg::Tensor(&b)).unwrap();
            let pairs = values(&a).into_iter().zip(values_in(&b, &shape));
            assert_eq!(values(&got), pairs.map(|(x, y)| x + y).collect::<Vec<_>>(), "{name} {other}");
        }
    }
}
