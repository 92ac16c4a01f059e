//! Matrix products against chains written from the definition, bit for bit.

use corepy_runtime::kernels::level;
use corepy_runtime::ops::matmul::matmul;
use corepy_runtime::scheduler::OwnThreads;
use corepy_runtime::{DType, Dims, Error, Tensor};
use num_complex::{Complex32, Complex64};

/// An element with the definition's step, and bits in which NaN is one value.
trait Element: Copy + Default + PartialEq + std::fmt::Debug {
    const DTYPE: DType;
    fn draw(random: &mut Random) -> Self;
    fn chain(self, a: Self, b: Self) -> Self;
    fn plus(self, other: Self) -> Self;
    fn bits(self) -> u128;
}

macro_rules! integer {
    ($($t:ty, $d:ident;)*) => {$(
        impl Element for $t {
            const DTYPE: DType = DType::$d;
            fn draw(random: &mut Random) -> $t { random.next() as $t }
            fn chain(self, a: $t, b: $t) -> $t { self.wrapping_add(a.wrapping_mul(b)) }
            fn plus(self, other: $t) -> $t { self.wrapping_add(other) }
            fn bits(self) -> u128 { self as u128 }
        }
    )*};
}
integer! { i8, Int8; i16, Int16; i32, Int32; i64, Int64; u8, Uint8; u16, Uint16; u32, Uint32; u64, Uint64; }

macro_rules! floating {
    ($($t:ty, $d:ident, $c:ty, $cd:ident;)*) => {$(
        impl Element for $t {
            const DTYPE: DType = DType::$d;
            fn draw(random: &mut Random) -> $t {
                // Zeros and subnormals among ordinary numbers of both signs; infinities so rarely
                // that most chains of some hundred terms stay finite.
                match random.next() % 256 {
                    0 => -0.0,
                    1 => 0.0,
                    2 => <$t>::MIN_POSITIVE / 8.0,
                    3 if random.next() % 512 == 0 => <$t>::INFINITY,
                    _ => ((random.next() >> 11) as i64 - (1 << 52)) as $t / (1u64 << 51) as $t,
                }
            }
            fn chain(self, a: $t, b: $t) -> $t { a.mul_add(b, self) }
            fn plus(self, other: $t) -> $t { self + other }
            fn bits(self) -> u128 { if self.is_nan() { u128::MAX } else { self.to_bits() as u128 } }
        }
        impl Element for $c {
            const DTYPE: DType = DType::$cd;
            fn draw(random: &mut Random) -> $c { <$c>::new(<$t>::draw(random), <$t>::draw(random)) }
            fn chain(self, a: $c, b: $c) -> $c {
                <$c>::new(
                    (-a.im).mul_add(b.im, a.re.mul_add(b.re, self.re)),
                    a.im.mul_add(b.re, a.re.mul_add(b.im, self.im)),
                )
            }
            fn plus(self, other: $c) -> $c { self + other }
            fn bits(self) -> u128 { self.re.bits() ^ self.im.bits().rotate_left(64) }
        }
    )*};
}
floating! { f32, Float32, Complex32, Complex64; f64, Float64, Complex64, Complex128; }

/// xorshift64 (Marsaglia 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn size(shape: &[i64]) -> usize {
    shape.iter().product::<i64>() as usize
}

fn tensor<T: Element>(shape: &[i64], values: &[T]) -> Tensor {
    assert_eq!(values.len(), size(shape));
    let t = Tensor::empty("test", shape, T::DTYPE).unwrap();
    // SAFETY: a new C-ordered tensor of this many elements of T's dtype.
    unsafe { t.data().cast::<T>().copy_from_nonoverlapping(values.as_ptr(), values.len()) };
    t
}

fn random<T: Element>(shape: &[i64], seed: u64) -> Tensor {
    let mut random = Random(seed * 2 + 1);
    let values: Vec<T> = (0..size(shape)).map(|_| T::draw(&mut random)).collect();
    tensor(shape, &values)
}

/// The elements in row-major order.
fn values<T: Element>(t: &Tensor) -> Vec<T> {
    assert_eq!(t.dtype(), T::DTYPE);
    let mut out = Vec::with_capacity(t.size());
    let mut index = vec![0i64; t.ndim()];
    for _ in 0..t.size() {
        let offset: i64 = index.iter().zip(t.strides()).map(|(&i, &s)| i * s).sum();
        // SAFETY: an element of the tensor, at any alignment.
        out.push(unsafe { t.data().offset(offset as isize).cast::<T>().read_unaligned() });
        for axis in (0..t.ndim()).rev() {
            index[axis] += 1;
            if index[axis] < t.shape()[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    out
}

fn bits<T: Element>(t: &Tensor) -> Vec<u128> {
    values::<T>(t).into_iter().map(T::bits).collect()
}

/// The definition for two matrices.
fn expected<T: Element>(a: &Tensor, b: &Tensor) -> Vec<u128> {
    let (m, k, n) = (a.shape()[0] as usize, a.shape()[1] as usize, b.shape()[1] as usize);
    let (a, b) = (values::<T>(a), values::<T>(b));
    let mut out = Vec::with_capacity(m * n);
    for i in 0..m {
        for j in 0..n {
            let panel = |first: usize| {
                (first..k.min(first + 256)).fold(T::default(), |t, p| t.chain(a[i * k + p], b[p * n + j]))
            };
            let totals = (0..k).step_by(256).map(panel);
            out.push(totals.reduce(T::plus).unwrap_or_default().bits());
        }
    }
    out
}

fn multiply(a: &Tensor, b: &Tensor) -> Tensor {
    matmul("matmul", a, b).unwrap()
}

#[track_caller]
fn check<T: Element>(a: &Tensor, b: &Tensor) {
    let got = multiply(a, b);
    assert_eq!(got.shape(), [a.shape()[0], b.shape()[1]]);
    assert!(got.is_contiguous() && !got.is_read_only());
    assert!(
        bits::<T>(&got) == expected::<T>(a, b),
        "{:?}: {:?} x {:?} (strides {:?}, {:?})",
        T::DTYPE,
        a.shape(),
        b.shape(),
        a.strides(),
        b.strides()
    );
}

fn transposed(t: &Tensor) -> Tensor {
    let n = t.ndim();
    let (mut shape, mut strides) = (t.shape().to_vec(), t.strides().to_vec());
    shape.swap(n - 1, n - 2);
    strides.swap(n - 1, n - 2);
    t.view(0, &shape, &strides)
}

/// A rows x cols matrix in each layout there is.
fn layouts<T: Element>(rows: i64, cols: i64, seed: u64) -> Vec<(&'static str, Tensor)> {
    let size = T::DTYPE.itemsize() as i64;
    let plain = random::<T>(&[rows, cols], seed);
    let wide = random::<T>(&[rows, 3 * cols], seed);
    let tall = random::<T>(&[2 * rows, cols], seed);
    let last = (rows * cols - 1) * size;
    vec![
        ("transposed", transposed(&random::<T>(&[cols, rows], seed))),
        ("every third column", wide.view(size, &[rows, cols], &[3 * cols * size, 3 * size])),
        ("every second row", tall.view(0, &[rows, cols], &[2 * cols * size, size])),
        ("reversed", plain.view(last, &[rows, cols], &[-cols * size, -size])),
        ("columns reversed", plain.view((cols - 1) * size, &[rows, cols], &[cols * size, -size])),
        ("one row", random::<T>(&[cols], seed).view(0, &[rows, cols], &[0, size])),
        ("one column", random::<T>(&[rows], seed).view(0, &[rows, cols], &[size, 0])),
        ("one element", random::<T>(&[1], seed).view(0, &[rows, cols], &[0, 0])),
        ("plain", plain),
    ]
}

fn shapes<T: Element>() {
    // Around the register tiles of every level (4 to 14 rows, 2 to 64 columns) and the panel.
    let sizes = [(1, 1), (2, 2), (4, 4), (5, 3), (13, 17), (15, 33), (29, 65), (1, 70), (70, 1), (3, 130)];
    for (turn, &(m, n)) in sizes.iter().enumerate() {
        for k in [1, 2, 3, 31, 255, 256, 257, 600] {
            check::<T>(&random::<T>(&[m, k], turn as u64 + 1), &random::<T>(&[k, n], k as u64));
        }
    }
    for (m, n, k) in [(9, 35, 70), (1, 40, 300), (40, 1, 300), (2, 3, 4)] {
        for (_, a) in layouts::<T>(m, k, 5) {
            for (_, b) in layouts::<T>(k, n, 6) {
                check::<T>(&a, &b);
            }
        }
    }
}

macro_rules! per_dtype {
    ($($name:ident $t:ty;)*) => {
        mod shapes_and_layouts {
            use super::*;
            $(#[test] fn $name() { shapes::<$t>(); })*
        }
        mod blocks {
            use super::*;
            $(#[test] fn $name() { larger_than_a_block::<$t>(); })*
        }
        mod batches {
            use super::*;
            $(#[test] fn $name() { batches_equal_products::<$t>(); })*
        }
    };
}
per_dtype! {
    int8 i8; int16 i16; int32 i32; int64 i64; uint8 u8; uint16 u16; uint32 u32; uint64 u64;
    float32 f32; float64 f64; complex64 Complex32; complex128 Complex64;
}

/// Elements of `whole` picked by products of one row and one column each, which take other paths.
fn larger_than_a_block<T: Element>() {
    // More rows than a block and more columns than a tile; more depth than a panel.
    for (m, n, k) in [(300, 600, 260), (20, 700, 300), (700, 20, 300)] {
        let (a, b) = (random::<T>(&[m, k], 1), random::<T>(&[k, n], 2));
        let whole = bits::<T>(&multiply(&a, &b));
        let step = a.strides()[0];
        for i in [0, 1, m / 2, m - 2, m - 1] {
            let row = a.view(i * step, &[1, k], a.strides());
            let want = expected::<T>(&row, &b);
            let from = (i * n) as usize;
            assert!(whole[from..from + n as usize] == want, "{:?} row {i} of {m} x {n} x {k}", T::DTYPE);
            assert!(bits::<T>(&multiply(&row, &b)) == want);
        }
        for j in [0, n / 2, n - 1] {
            let column = b.view(j * b.strides()[1], &[k], &b.strides()[..1]);
            let want: Vec<u128> = whole[j as usize..].iter().step_by(n as usize).copied().collect();
            assert!(bits::<T>(&multiply(&a, &column)) == want, "{:?} column {j}", T::DTYPE);
        }
    }
}

fn batches_equal_products<T: Element>() {
    let part = |t: &Tensor, i: i64| t.view(i * t.strides()[0], &t.shape()[1..], &t.strides()[1..]);
    for (m, n, k) in [(2, 3, 4), (1, 5, 40), (5, 1, 40), (17, 20, 270)] {
        let (a, b) = (random::<T>(&[5, m, k], 3), random::<T>(&[5, k, n], 4));
        let got = multiply(&a, &b);
        assert_eq!(got.shape(), [5, m, n]);
        for i in 0..5 {
            assert_eq!(bits::<T>(&part(&got, i)), bits::<T>(&multiply(&part(&a, i), &part(&b, i))));
            assert_eq!(bits::<T>(&part(&got, i)), expected::<T>(&part(&a, i), &part(&b, i)));
        }
        // One matrix for all, on either side, and a batch read backwards.
        let one = part(&b, 2);
        let got = multiply(&a, &one);
        for i in 0..5 {
            assert_eq!(bits::<T>(&part(&got, i)), expected::<T>(&part(&a, i), &one));
        }
        let one = part(&a, 1);
        let got = multiply(&one, &b);
        for i in 0..5 {
            assert_eq!(bits::<T>(&part(&got, i)), expected::<T>(&one, &part(&b, i)));
        }
        let step = a.strides()[0];
        let mut strides = a.strides().to_vec();
        strides[0] = -step;
        let backwards = a.view(4 * step, a.shape(), &strides);
        let got = multiply(&backwards, &part(&b, 0));
        for i in 0..5 {
            assert_eq!(bits::<T>(&part(&got, i)), expected::<T>(&part(&a, 4 - i), &part(&b, 0)));
        }
    }
}

#[test]
fn batch_axes_broadcast() {
    let a = random::<f32>(&[2, 1, 3, 4, 6], 1);
    let b = random::<f32>(&[5, 1, 6, 2], 2);
    let got = multiply(&a, &b);
    assert_eq!(got.shape(), [2, 5, 3, 4, 2]);
    let matrix = |t: &Tensor, at: &[i64]| {
        let offset: i64 = at.iter().zip(t.strides()).map(|(i, s)| i * s).sum();
        t.view(offset, &t.shape()[at.len()..], &t.strides()[at.len()..])
    };
    for i in 0..2 {
        for j in 0..5 {
            for l in 0..3 {
                let want = expected::<f32>(&matrix(&a, &[i, 0, l]), &matrix(&b, &[j, 0]));
                assert_eq!(bits::<f32>(&matrix(&got, &[i, j, l])), want);
            }
        }
    }
    // Rows and batch axes that merge into one axis, and those that do not.
    let stacked = random::<f32>(&[4, 3, 9, 7], 3);
    let b = random::<f32>(&[7, 5], 4);
    let want: Vec<u128> =
        (0..12).flat_map(|i| expected::<f32>(&matrix(&stacked, &[i / 3, i % 3]), &b)).collect();
    assert_eq!(bits::<f32>(&multiply(&stacked, &b)), want);
    let s = stacked.strides();
    let swapped = stacked.view(0, &[3, 4, 9, 7], &[s[1], s[0], s[2], s[3]]);
    let want: Vec<u128> =
        (0..12).flat_map(|i| expected::<f32>(&matrix(&stacked, &[i % 4, i / 4]), &b)).collect();
    assert_eq!(bits::<f32>(&multiply(&swapped, &b)), want);
    // One row each: the batch axis alone is the axis of rows.
    let single = stacked.view(0, &[12, 1, 7], &[s[1], 12345, s[3]]);
    let want: Vec<u128> = (0..12).flat_map(|i| expected::<f32>(&matrix(&single, &[i]), &b)).collect();
    assert_eq!(bits::<f32>(&multiply(&single, &b)), want);
    let repeated = stacked.view(0, &[6, 9, 7], &[0, s[2], s[3]]);
    assert_eq!(
        bits::<f32>(&matrix(&multiply(&repeated, &b), &[5])),
        expected::<f32>(&matrix(&stacked, &[0, 0]), &b)
    );
}

#[test]
fn operands_with_one_axis() {
    let (a, b) = (random::<f64>(&[3, 7, 40], 1), random::<f64>(&[3, 40, 5], 2));
    let x = random::<f64>(&[80], 3).view(0, &[40], &[16]);
    let (row, column) = (x.view(0, &[1, 40], &[0, 16]), x.view(0, &[40, 1], &[16, 0]));
    let left = multiply(&x, &b);
    assert_eq!(left.shape(), [3, 5]);
    assert_eq!(bits::<f64>(&left), bits::<f64>(&multiply(&row, &b)));
    let right = multiply(&a, &x);
    assert_eq!(right.shape(), [3, 7]);
    assert_eq!(bits::<f64>(&right), bits::<f64>(&multiply(&a, &column)));
    let flat = a.view(0, &[21, 40], &a.strides()[1..]);
    assert_eq!(bits::<f64>(&right), expected::<f64>(&flat, &column));
}

#[test]
fn threads_do_not_show() {
    // Enough work that threads take part; shapes for each way of sharing it out.
    let cases = [
        (vec![333, 400], vec![400, 1111]),
        (vec![40, 700], vec![700, 1500]),
        (vec![3000, 1500], vec![1500]),
        (vec![1500], vec![1500, 3000]),
        (vec![60, 50, 70], vec![60, 70, 40]),
        (vec![3, 200, 300], vec![3, 300, 250]),
    ];
    for (turn, (a, b)) in cases.into_iter().enumerate() {
        let (a, b) = (random::<f32>(&a, 10 + turn as u64), random::<f32>(&b, 20 + turn as u64));
        let results: Vec<Vec<u128>> = [1, 2, 3, 7]
            .into_iter()
            .map(|threads| {
                let _own = OwnThreads::new(threads).unwrap();
                bits::<f32>(&multiply(&a, &b))
            })
            .collect();
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "case {turn}");
    }
}

#[test]
fn levels_do_not_show() {
    let used = level::in_use().name;
    let complex = (random::<Complex32>(&[35, 300], 1), random::<Complex32>(&[300, 70], 2));
    let double = (random::<f64>(&[150, 300], 3), random::<f64>(&[300, 1], 4));
    let mut results = Vec::new();
    for name in level::available() {
        level::choose(name).unwrap();
        results.push((
            bits::<Complex32>(&multiply(&complex.0, &complex.1)),
            bits::<f64>(&multiply(&double.0, &double.1)),
        ));
    }
    level::choose(used).unwrap();
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(results[0].0, expected::<Complex32>(&complex.0, &complex.1));
}

#[test]
fn empty_products() {
    let empty = |shape: &[i64]| random::<f32>(shape, 1);
    for (a, b, shape) in [
        (vec![0, 3], vec![3, 4], vec![0, 4]),
        (vec![2, 3], vec![3, 0], vec![2, 0]),
        (vec![0, 2, 3], vec![3, 4], vec![0, 2, 4]),
        (vec![0], vec![0, 4], vec![4]),
        (vec![2, 0], vec![0], vec![2]),
        (vec![3, 2, 0], vec![0, 5], vec![3, 2, 5]),
        (vec![1, 2, 3], vec![0, 3, 5], vec![0, 2, 5]),
    ] {
        let got = multiply(&empty(&a), &empty(&b));
        assert_eq!(got.shape(), shape);
        assert!(values::<f32>(&got).iter().all(|v| v.to_bits() == 0), "{a:?} x {b:?}");
    }
}

#[test]
fn zeros_keep_the_sign_of_the_chain() {
    // fma(-0, x, +0) is +0: a chain begins at +0, so no product of finite zeros is -0.
    let got = multiply(&tensor(&[1, 2], &[-0.0f32, 0.0]), &tensor(&[2, 1], &[1.0f32, -1.0]));
    assert_eq!(bits::<f32>(&got), [0]);
    // A negative product that underflows leaves -0, and no later +0 panel is added to it.
    let tiny = f32::from_bits(1);
    let got = multiply(&tensor(&[1, 1], &[-tiny]), &tensor(&[1, 2], &[tiny, 1.0]));
    assert_eq!(bits::<f32>(&got), [(-0.0f32).bits(), (-tiny).bits()]);
}

#[test]
fn memory_at_any_alignment() {
    for (m, n, k) in [(9, 33, 20), (30, 1, 300), (1, 50, 9)] {
        let (a, b) = (random::<f64>(&[m, k], 1), random::<f64>(&[k, n], 2));
        let shifted = |t: &Tensor| {
            let storage = Tensor::empty("test", &[t.size() as i64 * 8 + 8], DType::Uint8).unwrap();
            // SAFETY: room for the elements after three bytes.
            unsafe {
                let at = storage.data().add(3);
                at.copy_from_nonoverlapping(t.data(), t.size() * 8);
                Tensor::from_parts(
                    storage.storage().clone(),
                    at,
                    DType::Float64,
                    Dims::new(t.shape()),
                    Dims::new(t.strides()),
                    false,
                )
            }
        };
        let got = multiply(&shifted(&a), &shifted(&b));
        assert!(!shifted(&a).is_aligned());
        assert_eq!(bits::<f64>(&got), expected::<f64>(&a, &b));
    }
}

fn message(a: &[i64], b: &[i64]) -> String {
    matmul("matmul", &random::<f32>(a, 1), &random::<f32>(b, 1))
        .expect_err("shapes that do not fit")
        .to_string()
}

#[test]
fn shapes_that_do_not_fit() {
    assert_eq!(
        message(&[2, 3], &[4, 5]),
        "[matmul] shapes (2, 3) and (4, 5) do not fit: 3 columns against 4 rows"
    );
    assert_eq!(message(&[3], &[4]), "[matmul] shapes (3,) and (4,) do not fit: 3 columns against 4 rows");
    assert_eq!(
        message(&[2, 3], &[4]),
        "[matmul] shapes (2, 3) and (4,) do not fit: 3 columns against 4 rows"
    );
    assert_eq!(message(&[], &[4]), "[matmul] needs at least 1 axis, not 0");
    assert_eq!(message(&[4], &[]), "[matmul] needs at least 1 axis, not 0");
    assert_eq!(
        message(&[2, 6, 3], &[3, 3, 5]),
        "[matmul] shapes (2, 6, 3) and (3, 3, 5) do not broadcast: axis 0 has 2 and 3"
    );
}

#[test]
fn dtypes_that_do_not_multiply() {
    let of = |dtype| Tensor::empty("test", &[2, 2], dtype).unwrap();
    for dtype in [DType::Bool, DType::Float16, DType::Bfloat16] {
        let error = matmul("matmul", &of(dtype), &of(dtype)).expect_err("no kernel");
        assert!(matches!(error, Error::DtypeRefused { op: "matmul", .. }), "{error}");
    }
    let error = matmul("matmul", &of(DType::Int8), &of(DType::Int16)).expect_err("two dtypes");
    assert!(matches!(error, Error::NoPromotion { .. }), "{error}");
}

#[test]
fn a_result_that_no_memory_holds() {
    // Broadcast operands can name a result of any size.
    let one = random::<f32>(&[1, 1], 1);
    let a = one.view(0, &[1 << 40, 1], &[0, 4]);
    let error = matmul("matmul", &a, &a.view(0, &[1, 1 << 40], &[4, 0])).expect_err("2**82 bytes");
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}
