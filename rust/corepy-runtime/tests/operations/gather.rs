//! Indices and masks, read and written, against plain loops.

use crate::layouts::{layouts, plain, strided, values};
use corepy_runtime::ops::Arg;
use corepy_runtime::ops::gather::{index, index_assign, mask, mask_assign, mask_indices, take};
use corepy_runtime::{DType, Error, Scalar, Tensor};

fn number(i: usize) -> f64 {
    ((i * 37 + i / 7) % 1000) as f64
}

fn indices(dtype: DType, shape: &[i64], extent: i64) -> Tensor {
    let signed = matches!(dtype, DType::Int8 | DType::Int16 | DType::Int32 | DType::Int64);
    plain(dtype, shape, &|i| {
        let at = (i as i64 * 31 + 5) % extent;
        (if signed && i % 3 == 0 { at - extent } else { at }) as f64
    })
}

/// The place that an index means.
fn wrap(at: f64, extent: i64) -> i64 {
    let at = at as i64;
    if at < 0 { at + extent } else { at }
}

/// The element of `x` at a multi-index.
fn at(x: &Tensor, place: &[i64]) -> f64 {
    let offset: i64 = place.iter().zip(x.strides()).map(|(p, s)| p * s).sum();
    crate::layouts::get(x.data().wrapping_offset(offset as isize), x.dtype())
}

#[test]
fn take_along_every_axis_of_every_layout() {
    for dtype in [DType::Uint8, DType::Bfloat16, DType::Float32, DType::Int64, DType::Complex128] {
        for (name, x) in layouts(dtype, &[4, 5, 6], &|i| (i % 100) as f64) {
            for axis in 0..3usize {
                for count in [0i64, 1, 7, 1500] {
                    let picked = indices(DType::Int32, &[count], x.shape()[axis]);
                    let got = take(&x, &picked, Some(axis as i64)).unwrap();
                    let mut shape = vec![4, 5, 6];
                    shape[axis] = count;
                    assert_eq!(got.shape(), shape);
                    let picked = values(&picked);
                    let expected: Vec<f64> = (0..got.size() as i64)
                        .map(|flat| {
                            let (a, b, c) =
                                (flat / (shape[1] * shape[2]), flat / shape[2] % shape[1], flat % shape[2]);
                            let mut place = [a, b, c];
                            place[axis] = wrap(picked[place[axis] as usize], x.shape()[axis]);
                            at(&x, &place)
                        })
                        .collect();
                    assert_eq!(values(&got), expected, "{dtype:?} {name} axis {axis} count {count}");
                }
            }
        }
    }
}

#[test]
fn indices_of_every_dtype_and_layout() {
    let x = plain(DType::Float64, &[100], &number);
    for dtype in corepy_runtime::dtype::ALL {
        for (name, picked) in layouts(dtype, &[3, 4], &|i| (i * 7 % 100) as f64) {
            let got = take(&x, &picked, None);
            if !dtype.is_integer() {
                assert!(matches!(got, Err(Error::IndexDtype { .. })), "{dtype:?}");
                continue;
            }
            let got = got.unwrap();
            assert_eq!(got.shape(), &[3, 4]);
            assert_eq!(
                values(&got),
                (0..12).map(|i| number(i * 7 % 100)).collect::<Vec<_>>(),
                "{dtype:?} {name}"
            );
        }
    }
}

#[test]
fn indices_out_of_range_are_named() {
    let x = plain(DType::Float32, &[5, 40], &number);
    for (bad, place) in [(40.0, 0usize), (-41.0, 2999), (40.0, 1024), (1e9, 1023), (-1e9, 1500)] {
        for good in [3000usize, 2999] {
            let picked = plain(DType::Int64, &[3000], &|i| {
                if i == place || i == good { bad } else { (i % 40) as f64 }
            });
            let expected = Error::IndexRange { op: "take", index: bad as i128, axis: 1, extent: 40 };
            assert_eq!(take(&x, &picked, Some(1)).err(), Some(expected));
        }
    }
    let picked = plain(DType::Int64, &[4], &|i| [0.0, -6.0, 7.0, 9.0][i]);
    assert_eq!(
        take(&x, &picked, Some(0)).err().unwrap().to_string(),
        "[take] index -6 is out of range for axis 0 with 5 elements"
    );
    let high = plain(DType::Uint64, &[2], &|i| if i == 1 { 18_446_744_073_709_549_568.0 } else { 0.0 });
    assert!(take(&x, &high, Some(0)).err().unwrap().to_string().contains("18446744073709549568"));
    // Checked even where nothing is read.
    let empty = plain(DType::Float32, &[0, 4], &number);
    assert!(take(&empty, &plain(DType::Int64, &[1], &|_| 0.0), Some(0)).is_err());
    assert!(take(&empty, &plain(DType::Int64, &[1], &|_| 4.0), Some(1)).is_err());
    assert_eq!(take(&empty, &plain(DType::Int64, &[0], &|_| 0.0), Some(0)).unwrap().shape(), &[0, 4]);
    assert!(take(&x, &picked, None).err().unwrap().to_string().contains("axis can be left out"));
    assert!(matches!(take(&x, &picked, Some(2)), Err(Error::Axis { .. })));
    // The first in order, whichever operand it is in.
    let first = plain(DType::Int64, &[3], &|i| [0.0, 0.0, 5.0][i]);
    let second = plain(DType::Int64, &[3], &|i| [0.0, 40.0, 0.0][i]);
    assert_eq!(
        index(&x, &[Some(&first), Some(&second)]).err(),
        Some(Error::IndexRange { op: "getitem", index: 40, axis: 1, extent: 40 })
    );
}

#[test]
fn several_index_tensors() {
    for (name, x) in layouts(DType::Int32, &[4, 5, 6, 3], &number) {
        let i = indices(DType::Int64, &[7, 1], 4);
        let j = indices(DType::Int8, &[2], 5);
        let k = indices(DType::Uint16, &[7, 2], 3);
        let (iv, jv, kv) = (values(&i), values(&j), values(&k));
        // Adjacent: their axes replace the indexed ones.
        let got = index(&x, &[Some(&i), Some(&j)]).unwrap();
        assert_eq!(got.shape(), &[7, 2, 6, 3]);
        let mut expected = Vec::new();
        for i in &iv {
            for j in &jv {
                for c in 0..6 {
                    for d in 0..3 {
                        expected.push(at(&x, &[wrap(*i, 4), wrap(*j, 5), c, d]));
                    }
                }
            }
        }
        assert_eq!(values(&got), expected, "{name}");
        let got = index(&x, &[None, Some(&j), None]).unwrap();
        assert_eq!(got.shape(), &[4, 2, 6, 3]);
        let mut expected = Vec::new();
        for a in 0..4 {
            for j in &jv {
                for c in 0..6 {
                    for d in 0..3 {
                        expected.push(at(&x, &[a, wrap(*j, 5), c, d]));
                    }
                }
            }
        }
        assert_eq!(values(&got), expected, "{name}");
        // Apart: their axes come first.
        let got = index(&x, &[None, Some(&j), None, Some(&k)]).unwrap();
        assert_eq!(got.shape(), &[7, 2, 4, 6]);
        let mut expected = Vec::new();
        for row in kv.chunks(2) {
            for (j, k) in jv.iter().zip(row) {
                for c in 0..4 {
                    for d in 0..6 {
                        expected.push(at(&x, &[c, wrap(*j, 5), d, wrap(*k, 3)]));
                    }
                }
            }
        }
        assert_eq!(values(&got), expected, "{name}");
    }
    let x = plain(DType::Int32, &[4], &number);
    let i = indices(DType::Int64, &[2], 4);
    assert!(matches!(index(&x, &[Some(&i), Some(&i)]), Err(Error::TooManyIndices { .. })));
    assert_eq!(values(&index(&x, &[]).unwrap()), values(&x));
}

#[test]
fn rows_of_large_tensors() {
    let x = plain(DType::Float32, &[5000, 3], &number);
    let picked = indices(DType::Int64, &[20_000], 5000);
    let got = take(&x, &picked, Some(0)).unwrap();
    let expected: Vec<f64> = values(&picked)
        .iter()
        .flat_map(|&i| (0..3).map(move |c| number((wrap(i, 5000) * 3 + c) as usize)))
        .collect();
    assert_eq!(values(&got), expected);
    let columns = indices(DType::Int64, &[2], 3);
    let got = take(&x, &columns, Some(1)).unwrap();
    let both: Vec<usize> = values(&columns).iter().map(|&i| wrap(i, 3) as usize).collect();
    let expected: Vec<f64> =
        (0..5000).flat_map(|r| both.iter().map(move |c| number(r * 3 + c)).collect::<Vec<_>>()).collect();
    assert_eq!(values(&got), expected);
}

#[test]
fn masks_of_all_axes() {
    for shape in [&[0i64][..], &[1], &[7], &[1025], &[40_000], &[5, 67], &[300, 201], &[2, 3, 4], &[]] {
        for every in [1usize, 2, 3, 50_000] {
            for (m_name, m) in layouts(DType::Bool, shape, &|i| (i % every == 0) as u8 as f64) {
                for dtype in [DType::Uint8, DType::Float16, DType::Float32, DType::Float64, DType::Complex128]
                {
                    for (name, x) in layouts(dtype, shape, &|i| (i % 200) as f64).into_iter().step_by(2) {
                        let got = mask(&x, &m).unwrap();
                        let kept = values(&x).into_iter().zip(values(&m)).filter(|(_, m)| *m != 0.0);
                        let expected: Vec<f64> = kept.map(|(x, _)| x).collect();
                        assert_eq!(got.shape(), &[expected.len() as i64]);
                        assert_eq!(values(&got), expected, "{shape:?} {dtype:?} {every} {m_name} {name}");
                    }
                }
            }
        }
    }
}

#[test]
fn masks_of_leading_axes() {
    for (name, x) in layouts(DType::Int16, &[6, 5, 4], &number) {
        let m = plain(DType::Bool, &[6], &|i| (i % 2) as f64);
        let got = mask(&x, &m).unwrap();
        assert_eq!(got.shape(), &[3, 5, 4]);
        let all = values(&x);
        assert_eq!(values(&got), [&all[20..40], &all[60..80], &all[100..]].concat(), "{name}");
        let m = plain(DType::Bool, &[6, 5], &|i| (i % 7 == 3) as u8 as f64);
        let got = mask(&x, &m).unwrap();
        let expected: Vec<f64> =
            (0..30).filter(|i| i % 7 == 3).flat_map(|i| all[i * 4..i * 4 + 4].to_vec()).collect();
        assert_eq!(values(&got), expected, "{name}");
        let places = mask_indices(&m).unwrap();
        assert_eq!(values(&index(&x, &[Some(&places[0]), Some(&places[1])]).unwrap()), expected);
        let whole = plain(DType::Bool, &[], &|_| 1.0);
        assert_eq!(mask(&x, &whole).unwrap().shape(), &[1, 6, 5, 4]);
    }
    let x = plain(DType::Int16, &[6, 5], &number);
    for shape in [&[5i64][..], &[6, 4], &[6, 5, 1]] {
        let m = plain(DType::Bool, shape, &|_| 1.0);
        assert!(matches!(mask(&x, &m), Err(Error::MaskShape { .. })));
        assert!(matches!(mask_assign(&x, &m, Arg::Tensor(&x)), Err(Error::MaskShape { .. })));
    }
    assert!(matches!(mask(&x, &x), Err(Error::DtypeRefused { .. })));
}

#[test]
fn assigning_through_indices() {
    for (name, x) in layouts(DType::Float32, &[10, 4], &number) {
        let mut expected = values(&x);
        let picked = plain(DType::Int64, &[5], &|i| [3.0, -1.0, 3.0, 0.0, 9.0][i]);
        let value = plain(DType::Int32, &[5, 4], &|i| -(i as f64));
        index_assign(&x, &[Some(&picked)], Arg::Tensor(&value)).unwrap();
        for (row, to) in [3, 9, 3, 0, 9].into_iter().enumerate() {
            for c in 0..4 {
                expected[to * 4 + c] = -((row * 4 + c) as f64);
            }
        }
        // Of several values for one place the last stays.
        assert_eq!(values(&x), expected, "{name}");
        let column = plain(DType::Int8, &[1], &|_| 2.0);
        index_assign(&x, &[None, Some(&column)], Arg::Scalar(Scalar::from_i64(8))).unwrap();
        (0..10).for_each(|r| expected[r * 4 + 2] = 8.0);
        assert_eq!(values(&x), expected, "{name}");
        index_assign(
            &x,
            &[Some(&picked), Some(&column)],
            Arg::Tensor(&plain(DType::Float32, &[1], &|_| 1.5)),
        )
        .unwrap();
        [3, 9, 0].into_iter().for_each(|r| expected[r * 4 + 2] = 1.5);
        assert_eq!(values(&x), expected, "{name}");
        // A bad index, even the last, leaves everything as it is.
        let bad = plain(DType::Int64, &[3], &|i| [1.0, 2.0, 10.0][i]);
        assert!(index_assign(&x, &[Some(&bad)], Arg::Scalar(Scalar::from_i64(0))).is_err());
        assert_eq!(values(&x), expected, "{name}");
    }
    let x = plain(DType::Int64, &[6], &|i| i as f64);
    let turned = plain(DType::Int64, &[6], &|i| 5.0 - i as f64);
    index_assign(&x, &[Some(&turned)], Arg::Tensor(&x)).unwrap();
    assert_eq!(values(&x), [5.0, 4.0, 3.0, 2.0, 1.0, 0.0]);
    index_assign(&x, &[Some(&x)], Arg::Tensor(&x.view(0, &[6], &[8]))).unwrap();
    assert_eq!(
        values(&x),
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0].map(|v| [5.0, 4.0, 3.0, 2.0, 1.0, 0.0][5 - v as usize])
    );
    let half = Arg::Scalar(Scalar::from_f64(2.5));
    let float = plain(DType::Float64, &[6], &number);
    assert!(matches!(
        index_assign(&x, &[Some(&turned)], Arg::Tensor(&float)),
        Err(Error::InPlaceDtype { .. })
    ));
    assert!(index_assign(&x, &[Some(&turned)], Arg::Tensor(&turned.view(0, &[4], &[8]))).is_err());
    assert!(index_assign(&x.clone().into_read_only(), &[Some(&turned)], half).is_err());
}

#[test]
fn assigning_through_masks() {
    for (name, x) in layouts(DType::Float64, &[30, 40], &number) {
        for (m_name, m) in layouts(DType::Bool, &[30, 40], &|i| (i % 5 == 2) as u8 as f64) {
            let mut expected = values(&x);
            expected.iter_mut().skip(2).step_by(5).for_each(|v| *v = -1.0);
            mask_assign(&x, &m, Arg::Scalar(Scalar::from_f64(-1.0))).unwrap();
            assert_eq!(values(&x), expected, "{name} {m_name}");
            let many = strided(DType::Int16, &[240], &[6], 1, &|i| i as f64);
            mask_assign(&x, &m, Arg::Tensor(&many)).unwrap();
            expected.iter_mut().skip(2).step_by(5).enumerate().for_each(|(i, v)| *v = i as f64);
            assert_eq!(values(&x), expected, "{name} {m_name}");
        }
        let rows = plain(DType::Bool, &[30], &|i| (i % 2) as f64);
        let row = plain(DType::Float32, &[40], &|i| i as f64);
        mask_assign(&x, &rows, Arg::Tensor(&row)).unwrap();
        let got = values(&x);
        assert!((0..1200).all(|i| i / 40 % 2 == 0 || got[i] == (i % 40) as f64), "{name}");
        let wrong = plain(DType::Float32, &[239], &number);
        let m = plain(DType::Bool, &[30, 40], &|i| (i % 5 == 2) as u8 as f64);
        assert!(mask_assign(&x, &m, Arg::Tensor(&wrong)).is_err());
        assert!(mask_assign(&x, &rows, Arg::Tensor(&wrong)).is_err());
        assert_eq!(values(&x), got);
    }
    let x = plain(DType::Bool, &[8], &|i| (i % 2) as f64);
    mask_assign(&x, &x.view(7, &[8], &[-1]), Arg::Scalar(Scalar::from_bool(true))).unwrap();
    assert_eq!(values(&x), [1.0; 8]);
    let x = plain(DType::Int32, &[3], &number);
    mask_assign(&x, &plain(DType::Bool, &[], &|_| 0.0), Arg::Scalar(Scalar::from_i64(4))).unwrap();
    assert_eq!(values(&x), (0..3).map(number).collect::<Vec<_>>());
    mask_assign(&x, &plain(DType::Bool, &[], &|_| 1.0), Arg::Scalar(Scalar::from_i64(4))).unwrap();
    assert_eq!(values(&x), [4.0; 3]);
}

#[test]
fn a_mask_that_changes_while_it_is_read_writes_nothing_outside() {
    use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
    let n = 200_000;
    let x = plain(DType::Float32, &[n], &|_| 1.0);
    let m = plain(DType::Bool, &[n], &|i| (i % 2) as f64);
    // SAFETY: the mask's bytes, used by other threads through atomics only.
    let bytes: &[AtomicU8] = unsafe { std::slice::from_raw_parts(m.data().cast(), n as usize) };
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                bytes
                    .iter()
                    .step_by(97)
                    .for_each(|b| b.store(1 - b.load(Ordering::Relaxed), Ordering::Relaxed));
            }
        });
        for _ in 0..30 {
            let got = values(&mask(&x, &m).unwrap());
            assert!(got.iter().all(|&v| v == 1.0 || v == 0.0));
        }
        stop.store(true, Ordering::Relaxed);
    });
}
