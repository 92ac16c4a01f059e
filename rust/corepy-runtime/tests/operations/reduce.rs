//! Reductions over every layout, set of axes and number of threads: the bits of one contiguous row.

use crate::layouts::{SHAPES, address, get, layouts, plain, put, strided, values};
use corepy_runtime::generated::ops::REDUCTIONS;
use corepy_runtime::kernels;
use corepy_runtime::ops::copy::contiguous_as;
use corepy_runtime::ops::reduce::{reduce, vecdot};
use corepy_runtime::scheduler::OwnThreads;
use corepy_runtime::{DType, Dims, Error, Family, Kind, Reduce, Tensor};

const DTYPES: [DType; 10] = [
    DType::Bool,
    DType::Int8,
    DType::Uint16,
    DType::Int32,
    DType::Int64,
    DType::Uint64,
    DType::Float32,
    DType::Float64,
    DType::Complex64,
    DType::Complex128,
];

fn hash(i: usize) -> u64 {
    let mut x = (i as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Values that round when they are added, with zeros of both signs; whole numbers for integers.
fn value(dtype: DType) -> impl Fn(usize) -> f64 {
    move |i| {
        let h = hash(i);
        match dtype.kind() {
            Kind::Bool => h.is_multiple_of(3) as u8 as f64,
            Kind::Unsigned => (h % 200) as f64,
            Kind::Signed => (h % 200) as f64 - 100.0,
            _ if h.is_multiple_of(17) => {
                if h & 64 == 0 {
                    -0.0
                } else {
                    0.0
                }
            }
            _ => {
                let sign = if h & 1 == 0 { 1.0 } else { -1.0 };
                sign * (1.0 + (h >> 12) as f64 * 2f64.powi(-52)) * 2f64.powi((h >> 1 & 15) as i32 - 8)
            }
        }
    }
}

/// Gives complex elements an imaginary part too.
fn with_imaginary(t: &Tensor) {
    if t.dtype().kind() == Kind::Complex {
        let part = t.dtype().real_part();
        for i in 0..t.size() {
            let at = address(t, t.shape(), i).wrapping_add(part.itemsize());
            put(at, part, value(part)(i + 1_000_000));
        }
    }
}

fn bytes(t: &Tensor) -> Vec<u8> {
    assert!(t.is_contiguous());
    // SAFETY: a contiguous tensor of that many bytes.
    unsafe { std::slice::from_raw_parts(t.data(), t.size() * t.itemsize()) }.to_vec()
}

fn subsets(ndim: usize) -> Vec<Vec<usize>> {
    (0..1usize << ndim).map(|bits| (0..ndim).filter(|a| bits >> a & 1 == 1).collect()).collect()
}

/// The shape without the axes.
fn kept(shape: &[i64], axes: &[usize], keepdims: bool) -> Vec<i64> {
    let all = shape.iter().enumerate();
    if keepdims {
        all.map(|(a, &e)| if axes.contains(&a) { 1 } else { e }).collect()
    } else {
        all.filter(|(a, _)| !axes.contains(a)).map(|(_, &e)| e).collect()
    }
}

/// The axes moved behind the others, contiguous: rows that are one result each.
fn as_rows(x: &Tensor, axes: &[usize], computed: DType) -> (Tensor, usize, usize) {
    let mut order: Vec<usize> = (0..x.ndim()).filter(|a| !axes.contains(a)).collect();
    order.extend((0..x.ndim()).filter(|a| axes.contains(a)));
    let pick = |from: &[i64]| order.iter().map(|&a| from[a]).collect::<Vec<i64>>();
    let rows = x.view(0, &pick(x.shape()), &pick(x.strides()));
    let count: i64 = axes.iter().map(|&a| x.shape()[a]).product();
    let outer: i64 = kept(x.shape(), axes, false).iter().product();
    (contiguous_as(&rows, computed, "test").unwrap(), outer as usize, count as usize)
}

/// Each row reduced by the kernel for contiguous rows, one call a row.
fn expected(
    op: Reduce,
    x: &Tensor,
    axes: &[usize],
    computed: DType,
    item: usize,
    correction: f64,
) -> Vec<u8> {
    let row = &REDUCTIONS[op as usize];
    let (rows, outer, n) = as_rows(x, axes, computed);
    let each = kernels::reduction(row.family, computed).each.unwrap();
    let divisor = if matches!(op, Reduce::Var | Reduce::Std) { n as f64 - correction } else { n as f64 };
    let mut out = vec![0u8; outer * item];
    for i in 0..outer {
        let from = rows.data().wrapping_add(i * n * computed.itemsize());
        // SAFETY: one row of n elements, and room for its result.
        unsafe { each(out[i * item..].as_mut_ptr(), from, std::ptr::null(), 1, 0, 0, n, divisor) };
    }
    out
}

fn computed_for(op: Reduce, dtype: DType) -> Option<DType> {
    let row = &REDUCTIONS[op as usize];
    let floating = matches!(dtype.kind(), Kind::Floating | Kind::Complex);
    let computed = if matches!(op, Reduce::Mean | Reduce::Var | Reduce::Std) && !floating {
        DType::Float64
    } else {
        dtype
    };
    row.dtypes.contains(computed).then_some(computed)
}

fn is_empty_error(op: Reduce, shape: &[i64], axes: &[usize]) -> bool {
    REDUCTIONS[op as usize].empty_is_error
        && axes.iter().any(|&a| shape[a] == 0)
        && !kept(shape, axes, false).contains(&0)
}

#[test]
fn every_layout_and_every_set_of_axes() {
    for dtype in DTYPES {
        for shape in SHAPES {
            for (name, x) in layouts(dtype, shape, &value(dtype)) {
                with_imaginary(&x);
                for op in Reduce::ALL {
                    let Some(computed) = computed_for(op, dtype) else { continue };
                    for axes in subsets(shape.len()) {
                        let keepdims = hash(axes.len() + shape.len()).is_multiple_of(2);
                        let got = reduce(op, &x, Some(&axes), keepdims, None, 1.0);
                        if is_empty_error(op, shape, &axes) {
                            assert!(
                                matches!(got, Err(Error::EmptyReduction { .. })),
                                "{op:?} {shape:?} {axes:?}"
                            );
                            continue;
                        }
                        let got = got.unwrap();
                        assert_eq!(got.shape(), kept(shape, &axes, keepdims));
                        let want = expected(op, &x, &axes, computed, got.itemsize(), 1.0);
                        assert!(bytes(&got) == want, "{op:?} {dtype:?} {shape:?} {axes:?} {name}");
                    }
                }
            }
        }
    }
}

/// Shapes that are cut into blocks, groups and strips, and that threads share.
const LARGE: &[&[i64]] = &[
    &[300_001],
    &[70_001, 3],
    &[2, 90_000],
    &[5000, 70],
    &[2100, 7, 11],
    &[3, 2100, 40],
    &[1025, 1, 300],
    &[40, 9000],
    &[6, 1500, 2, 5],
];

#[test]
fn threads_do_not_change_a_bit() {
    let ops =
        [Reduce::Sum, Reduce::Prod, Reduce::Mean, Reduce::Std, Reduce::Min, Reduce::All, Reduce::Argmax];
    for dtype in [DType::Int8, DType::Float32, DType::Float64, DType::Complex64] {
        for shape in LARGE {
            for (name, x) in layouts(dtype, shape, &value(dtype)) {
                // Layouts that stage elements are all alike; two of them are enough.
                if matches!(name, "misaligned" | "last axis reversed" | "every third") {
                    continue;
                }
                for op in ops {
                    let Some(computed) = computed_for(op, dtype) else { continue };
                    for axes in subsets(shape.len()) {
                        if axes.is_empty() || (REDUCTIONS[op as usize].one_axis && axes.len() > 1) {
                            continue;
                        }
                        let mut want = None;
                        for threads in [1, 2, 3, 7] {
                            let _threads = OwnThreads::new(threads).unwrap();
                            let got = reduce(op, &x, Some(&axes), false, None, 0.0).unwrap();
                            let want = want.get_or_insert_with(|| {
                                expected(op, &x, &axes, computed, got.itemsize(), 0.0)
                            });
                            assert!(
                                bytes(&got) == *want,
                                "{op:?} {dtype:?} {shape:?} {axes:?} {name} {threads}"
                            );
                        }
                    }
                }
            }
        }
    }
}

/// The order of section "Reduction order", for sums of real elements, without a kernel.
fn definition(x: &[f64], pair: bool) -> (f64, f64) {
    fn two_sum(a: f64, b: f64) -> (f64, f64) {
        let s = a + b;
        let part = s - a;
        (s, (a - (s - part)) + (b - part))
    }
    fn merge(a: (f64, f64), b: (f64, f64), pair: bool) -> (f64, f64) {
        let (s, e) = two_sum(a.0, b.0);
        (s, if pair { (a.1 + b.1) + e } else { 0.0 })
    }
    fn stripes(x: &[f64], pair: bool) -> Vec<(f64, f64)> {
        if x.len() <= 1024 {
            let mut stripes = vec![(-0.0, 0.0); 16];
            for (i, &v) in x.iter().enumerate() {
                let (s, e) = two_sum(stripes[i % 16].0, v);
                stripes[i % 16] = (s, if pair { stripes[i % 16].1 + e } else { 0.0 });
            }
            return stripes;
        }
        let blocks = x.len().div_ceil(1024);
        let (left, right) = x.split_at(blocks.next_power_of_two() / 2 * 1024);
        let both = stripes(left, pair).into_iter().zip(stripes(right, pair));
        both.map(|(a, b)| merge(a, b, pair)).collect()
    }
    let mut stripes = stripes(x, pair);
    for half in [8, 4, 2, 1] {
        for s in 0..half {
            stripes[s] = merge(stripes[s], stripes[s + half], pair);
        }
    }
    stripes[0]
}

#[test]
fn sums_and_means_are_what_the_order_says() {
    for n in [1usize, 2, 15, 16, 17, 1023, 1024, 1025, 3000, 4096, 5121, 100_000] {
        for dtype in [DType::Float32, DType::Float64] {
            let x = plain(dtype, &[n as i64], &value(dtype));
            let (s, c) = definition(&values(&x), dtype == DType::Float64);
            let sum = if c == 0.0 || !c.is_finite() { s } else { s + c };
            let q = s / n as f64;
            let r = ((-q).mul_add(n as f64, s) + c) / n as f64;
            let mean = if r == 0.0 || dtype == DType::Float32 { q } else { q + r };
            for (op, want) in [(Reduce::Sum, sum), (Reduce::Mean, mean)] {
                let got = reduce(op, &x, None, false, None, 0.0).unwrap();
                let want = if dtype == DType::Float32 { want as f32 as f64 } else { want };
                assert_eq!(get(got.data(), dtype).to_bits(), want.to_bits(), "{op:?} {dtype:?} {n}");
            }
        }
    }
}

#[test]
fn any_and_all_stop_early() {
    // 2^50 elements in the memory of one: only stopping comes back.
    for threads in [1, 2, 7] {
        let _threads = OwnThreads::new(threads).unwrap();
        for (op, value) in [(Reduce::Any, 1.0), (Reduce::All, 0.0)] {
            let one = plain(DType::Float32, &[1], &|_| value);
            let x = one.broadcast_to("test", &[1 << 50]).unwrap();
            let got = reduce(op, &x, None, false, None, 0.0).unwrap();
            assert_eq!(values(&got), [value]);
            // Rows: every column is decided.
            let row = plain(DType::Int8, &[1, 200], &|_| value);
            let x = row.broadcast_to("test", &[1 << 40, 200]).unwrap();
            let got = reduce(op, &x, Some(&[0]), false, None, 0.0).unwrap();
            assert_eq!(values(&got), vec![value; 200]);
        }
    }
    for at in [0, 1023, 1024, 200_000, 499_999] {
        let x = plain(DType::Uint16, &[500_000], &|i| (i == at) as u8 as f64);
        assert_eq!(values(&reduce(Reduce::Any, &x, None, false, None, 0.0).unwrap()), [1.0]);
    }
}

#[test]
fn dtypes_of_results() {
    let case = |op, from, wanted, to| {
        let x = plain(from, &[3], &|i| i as f64 + 1.0);
        assert_eq!(reduce(op, &x, None, false, wanted, 0.0).unwrap().dtype(), to, "{op:?} {from:?}");
    };
    for dtype in [DType::Bool, DType::Int8, DType::Int64] {
        case(Reduce::Sum, dtype, None, DType::Int64);
        case(Reduce::Prod, dtype, None, DType::Int64);
        case(Reduce::Mean, dtype, None, DType::Float64);
        case(Reduce::Std, dtype, None, DType::Float64);
        case(Reduce::Min, dtype, None, dtype);
        case(Reduce::Argmax, dtype, None, DType::Int64);
        case(Reduce::All, dtype, None, DType::Bool);
        case(Reduce::CountNonzero, dtype, None, DType::Int64);
    }
    case(Reduce::Sum, DType::Uint8, None, DType::Uint64);
    case(Reduce::Sum, DType::Float32, None, DType::Float32);
    case(Reduce::Mean, DType::Complex64, None, DType::Complex64);
    case(Reduce::Sum, DType::Int64, Some(DType::Float32), DType::Float32);
    case(Reduce::Sum, DType::Float32, Some(DType::Complex128), DType::Complex128);
    case(Reduce::Sum, DType::Int32, Some(DType::Int8), DType::Int8);
    case(Reduce::Prod, DType::Int32, Some(DType::Bool), DType::Bool);
}

#[test]
fn elements_are_converted_before_they_are_reduced() {
    // 300 wraps to 44 as uint8, of which there are three.
    let x = plain(DType::Int32, &[3], &|_| 300.0);
    assert_eq!(values(&reduce(Reduce::Sum, &x, None, false, Some(DType::Uint8), 0.0).unwrap()), [132.0]);
    // 1 + 2^-30 is 1 as float32.
    let x = plain(DType::Float64, &[4], &|_| 1.0 + 2f64.powi(-30));
    assert_eq!(values(&reduce(Reduce::Sum, &x, None, false, Some(DType::Float32), 0.0).unwrap()), [4.0]);
    for (name, x) in layouts(DType::Int16, &[40, 67], &value(DType::Int16)) {
        for axes in subsets(2) {
            let got = reduce(Reduce::Sum, &x, Some(&axes), false, Some(DType::Float32), 0.0).unwrap();
            assert!(
                bytes(&got) == expected(Reduce::Sum, &x, &axes, DType::Float32, 4, 0.0),
                "{name} {axes:?}"
            );
        }
    }
}

#[test]
fn nothing_to_reduce() {
    let sum = |dtype| {
        let x = plain(dtype, &[0, 3], &|_| 0.0);
        reduce(Reduce::Sum, &x, None, false, None, 0.0).unwrap()
    };
    assert_eq!(values(&sum(DType::Float64))[0].to_bits(), 0f64.to_bits());
    let x = plain(DType::Float32, &[3, 0], &|_| 0.0);
    let over = |op: Reduce| values(&reduce(op, &x, Some(&[1]), false, None, 0.0).unwrap());
    assert_eq!(over(Reduce::Prod), [1.0; 3]);
    assert_eq!(over(Reduce::Any), [0.0; 3]);
    assert_eq!(over(Reduce::All), [1.0; 3]);
    assert_eq!(over(Reduce::CountNonzero), [0.0; 3]);
    assert!(over(Reduce::Mean).iter().chain(&over(Reduce::Var)).all(|v| v.is_nan()));
    let error = reduce(Reduce::Argmin, &x, Some(&[1]), false, None, 0.0).err().map(|e| e.to_string());
    let message =
        "[argmin] shape (3, 0) has no elements along the reduced axes, and argmin has no value for none";
    assert_eq!(error.as_deref(), Some(message));
    assert_eq!(reduce(Reduce::Min, &x, Some(&[0]), true, None, 0.0).unwrap().shape(), [1, 0]);
}

#[test]
fn refused_dtypes() {
    let refused = |op: Reduce, dtype: DType, wanted: Option<DType>| {
        let x = plain(dtype, &[2], &|_| 1.0);
        reduce(op, &x, None, false, wanted, 0.0).err().map(|e| e.to_string()).unwrap_or_default()
    };
    assert!(refused(Reduce::Min, DType::Complex64, None).starts_with("[min] does not take complex64"));
    assert!(refused(Reduce::Var, DType::Complex128, None).starts_with("[var] does not take complex128"));
    assert!(refused(Reduce::Sum, DType::Float16, None).contains("does not compute in float16"));
    assert!(refused(Reduce::Sum, DType::Float32, Some(DType::Bfloat16)).contains("bfloat16"));
    assert!(refused(Reduce::Sum, DType::Complex64, Some(DType::Float64)).contains("imaginary part"));
    let a = plain(DType::Bool, &[2], &|_| 1.0);
    assert!(matches!(vecdot("vecdot", Family::Vecdot, &a, &a), Err(Error::DtypeRefused { .. })));
}

#[test]
fn variances_with_few_degrees_of_freedom() {
    let x = plain(DType::Float64, &[3], &|i| i as f64);
    let var = |correction| values(&reduce(Reduce::Var, &x, None, false, None, correction).unwrap())[0];
    assert_eq!(var(0.0), 2.0 / 3.0);
    assert_eq!(var(1.0), 1.0);
    assert_eq!(var(1.5), 2.0 / 1.5);
    assert!(var(3.0).is_nan() && var(4.0).is_nan());
}

#[test]
fn dot_products_in_every_layout() {
    for dtype in
        [DType::Int8, DType::Uint32, DType::Float32, DType::Float64, DType::Complex64, DType::Complex128]
    {
        for shape in [&[7][..], &[1024], &[0], &[5, 67], &[3, 2, 1100], &[70_001], &[2, 50_000], &[4, 0]] {
            let all = layouts(dtype, shape, &value(dtype));
            let others = layouts(dtype, shape, &|i| value(dtype)(i + 77));
            for (family, number) in [(Family::Vecdot, 0), (Family::Dot, 1)] {
                let each = kernels::reduction(family, dtype).each.unwrap();
                let n = shape[shape.len() - 1] as usize;
                let mut want = None;
                for (k, (name, a)) in all.iter().enumerate() {
                    let (other, b) = &others[(k + number * 3) % others.len()];
                    with_imaginary(a);
                    with_imaginary(b);
                    let want = want.get_or_insert_with(|| {
                        let (x, outer, _) = as_rows(a, &[shape.len() - 1], dtype);
                        let (y, _, _) = as_rows(b, &[shape.len() - 1], dtype);
                        let mut out = vec![0u8; outer * dtype.itemsize()];
                        let stride = (n * dtype.itemsize()) as isize;
                        // SAFETY: outer rows of n elements each, and room for the results.
                        unsafe { each(out.as_mut_ptr(), x.data(), y.data(), outer, stride, stride, n, 0.0) };
                        out
                    });
                    for threads in [1, 3] {
                        let _threads = OwnThreads::new(threads).unwrap();
                        let got = vecdot("vecdot", family, a, b).unwrap();
                        assert_eq!(got.shape(), &shape[..shape.len() - 1]);
                        assert!(
                            bytes(&got) == *want,
                            "{family:?} {dtype:?} {shape:?} {name} {other} {threads}"
                        );
                    }
                }
            }
        }
    }
    let i = plain(DType::Complex64, &[1], &|_| 0.0);
    put(i.data().wrapping_add(4), DType::Float32, 1.0);
    assert_eq!(values(&vecdot("vecdot", Family::Vecdot, &i, &i).unwrap()), [1.0]);
    assert_eq!(values(&vecdot("dot", Family::Dot, &i, &i).unwrap()), [-1.0]);
}

#[test]
fn broadcast_operands() {
    let column = strided(DType::Float64, &[1, 130], &[0, 8], 0, &value(DType::Float64));
    let x = column.broadcast_to("test", &[1500, 130]).unwrap();
    let copy = contiguous_as(&x, DType::Float64, "test").unwrap();
    for op in [Reduce::Sum, Reduce::Std, Reduce::Max, Reduce::Argmin, Reduce::CountNonzero] {
        for axes in subsets(2) {
            let got = reduce(op, &x, Some(&axes), false, None, 0.0).unwrap();
            let want = reduce(op, &copy, Some(&axes), false, None, 0.0).unwrap();
            assert!(bytes(&got) == bytes(&want), "{op:?} {axes:?}");
        }
    }
    // A shape without axes reduces to itself.
    let scalar = Tensor::empty("test", &[], DType::Int32).unwrap();
    put(scalar.data(), DType::Int32, -7.0);
    assert_eq!(values(&reduce(Reduce::Sum, &scalar, None, true, None, 0.0).unwrap()), [-7.0]);
    assert_eq!(*Dims::new(scalar.shape()), []);
}

#[test]
fn sixty_four_axes() {
    let mut shape = vec![1i64; 64];
    shape[0] = 3;
    shape[63] = 5;
    let x = plain(DType::Int16, &shape, &|i| i as f64);
    assert_eq!(values(&reduce(Reduce::Sum, &x, None, false, None, 0.0).unwrap()), [105.0]);
    let got = reduce(Reduce::Sum, &x, Some(&[63]), false, None, 0.0).unwrap();
    assert_eq!(values(&got), [10.0, 35.0, 60.0]);
    let got = reduce(Reduce::Max, &x, Some(&[0]), false, None, 0.0).unwrap();
    assert_eq!(values(&got), [10.0, 11.0, 12.0, 13.0, 14.0]);
}
