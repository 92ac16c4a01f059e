//! What the reference interpreter computes, against the kernels, exact arithmetic and the definitions.

use crate::lanes::{Random, canonical, edges};
use corepy_runtime::backends::reference::semantics::{self, Refused};
use corepy_runtime::generated::lanes::{Opcode, ROWS, Suffix};
use corepy_runtime::generated::ops::{BINARY, Fault, ResultRule, UNARY};
use corepy_runtime::kernels::{self, Form};
use corepy_runtime::program::{Combine, Type, Value};

#[repr(align(8))]
struct Bytes([u8; 8]);

fn bytes(ty: Type, value: Value) -> Bytes {
    let mut out = Bytes([0; 8]);
    value.store(ty, &mut out.0);
    out
}

fn register_types() -> impl Iterator<Item = Type> {
    Type::ALL.into_iter().filter(|t| *t == t.in_register())
}

/// Edges, and numbers of every size around them.
fn inputs(ty: Type, random: &mut Random, count: usize) -> Vec<Value> {
    let mut found = edges(ty);
    while found.len() < count {
        let bits = random.bits();
        let value = Value::new(ty, bits);
        found.push(value);
        if ty == Type::F32 {
            found.push(Value::single((bits % 1000) as f32 / 8.0 - 60.0));
        } else if ty == Type::F64 {
            found.push(Value::double((bits % 100_000) as f64 / 64.0 - 700.0));
        } else if ty != Type::B1 {
            found.push(Value::integer(ty, i128::from(bits % 70) - 35));
        }
    }
    found
}

#[test]
fn every_unary_operation_has_the_bits_of_its_kernel() {
    let mut random = Random::new(1);
    let mut checked = 0;
    for row in &ROWS {
        let Opcode::Unary(op) = row.opcode else { continue };
        for ty in register_types().filter(|&t| row.types.contains(t)) {
            let kernel = kernels::unary(op, ty.dtype()).expect("a kernel of every type that the row takes");
            let result = if UNARY[op as usize].result == ResultRule::Bool { Type::B1 } else { ty };
            for a in inputs(ty, &mut random, 3000) {
                let (mut out, from) = (Bytes([0; 8]), bytes(ty, a));
                // SAFETY: one element on each side.
                unsafe { kernel(out.0.as_mut_ptr(), from.0.as_ptr(), 1) };
                let (got, expected) = (semantics::unary(op, ty, a), Value::load(result, &out.0));
                assert_eq!(canonical(got), canonical(expected), "{} {a:?} = {a}", row.mnemonic);
                checked += 1;
            }
        }
    }
    assert!(checked > 200_000, "{checked}");
}

#[test]
fn every_binary_operation_has_the_bits_of_its_kernel() {
    let mut random = Random::new(2);
    for row in &ROWS {
        let Opcode::Binary(op) = row.opcode else { continue };
        for ty in register_types().filter(|&t| row.types.contains(t)) {
            let kernel = kernels::binary(op, ty.dtype(), Form::VectorVector).expect("a kernel of every type");
            let result = if BINARY[op as usize].result == ResultRule::Bool { Type::B1 } else { ty };
            let mut pairs: Vec<(Value, Value)> =
                edges(ty).into_iter().flat_map(|a| edges(ty).into_iter().map(move |b| (a, b))).collect();
            let (a, b) = (inputs(ty, &mut random, 3000), inputs(ty, &mut random, 3000));
            for _ in 0..3000 {
                pairs.push((*random.pick(&a), *random.pick(&b)));
            }
            if row.mnemonic == "pow" {
                // Exponents that have a power.
                let number =
                    |e: f64| if ty == Type::F32 { Value::single(e as f32) } else { Value::double(e) };
                pairs.extend(a.iter().flat_map(|&x| (-20..20).map(move |e| (x, number(f64::from(e))))));
                pairs.extend(a.iter().map(|&x| (x, number(0.5))));
            }
            for (a, b) in pairs {
                let (mut out, x, y) = (Bytes([0; 8]), bytes(ty, a), bytes(ty, b));
                // SAFETY: one element on each side.
                let done = unsafe { kernel(out.0.as_mut_ptr(), x.0.as_ptr(), y.0.as_ptr(), 1) };
                let expected = match (done, BINARY[op as usize].fault) {
                    (1, _) => Ok(Value::load(result, &out.0)),
                    (_, Fault::ZeroDivision) => Err(Refused::ZeroDivision),
                    (_, Fault::Exponent) => Err(Refused::Exponent(b.to_double())),
                    (_, Fault::None) => panic!("{} faults", row.mnemonic),
                };
                let got = semantics::binary(op, ty, a, b);
                assert_eq!(
                    got.map(canonical),
                    expected.map(canonical),
                    "{} {}: {a}, {b}",
                    row.mnemonic,
                    ty.name()
                );
            }
        }
    }
}

#[test]
fn conversions_have_the_bits_of_their_kernels() {
    let mut random = Random::new(3);
    for from in register_types() {
        for to in register_types() {
            let kernel = kernels::cast(from.dtype(), to.dtype());
            for a in inputs(from, &mut random, 2000) {
                let (mut out, x) = (Bytes([0; 8]), bytes(from, a));
                // SAFETY: one element on each side.
                unsafe { kernel(out.0.as_mut_ptr(), x.0.as_ptr(), 1) };
                let (got, expected) = (semantics::convert(to, a), Value::load(to, &out.0));
                assert_eq!(canonical(got), canonical(expected), "{a} of {} to {}", from.name(), to.name());
            }
        }
    }
    // Storage types, by way of memory.
    for storage in [Type::F16, Type::Bf16] {
        let (down, up) = (
            kernels::cast(Type::F32.dtype(), storage.dtype()),
            kernels::cast(storage.dtype(), Type::F32.dtype()),
        );
        for a in inputs(Type::F32, &mut random, 20_000) {
            let (mut half, mut back, x) = (Bytes([0; 8]), Bytes([0; 8]), bytes(Type::F32, a));
            // SAFETY: one element on each side.
            unsafe {
                down(half.0.as_mut_ptr(), x.0.as_ptr(), 1);
                up(back.0.as_mut_ptr(), half.0.as_ptr(), 1);
            }
            let expected = canonical(Value::load(Type::F32, &back.0));
            assert_eq!(canonical(semantics::round_to(storage, a)), expected, "{a} to {}", storage.name());
            let mut stored = [0u8; 8];
            a.store(storage, &mut stored);
            assert_eq!(canonical(Value::load(storage, &stored)), expected);
        }
        for bits in 0..=u16::MAX {
            let (mut back, half) = (Bytes([0; 8]), Bytes(u64::from(bits).to_ne_bytes()));
            // SAFETY: one element on each side.
            unsafe { up(back.0.as_mut_ptr(), half.0.as_ptr(), 1) };
            let got = Value::load(storage, &half.0);
            assert_eq!(canonical(got), canonical(Value::load(Type::F32, &back.0)), "{bits:#x}");
        }
    }
}

#[test]
fn fma_rounds_once_and_mad_wraps() {
    let single = |a: f32, b: f32, c: f32| {
        let v = Value::single;
        semantics::multiply_add(Type::F32, v(a), v(b), v(c)).to_single()
    };
    // (1 + e)(1 - e) - 1 = -e*e, which a rounded product loses.
    let e = f32::EPSILON;
    assert_eq!(single(1.0 + e, 1.0 - e, -1.0), -e * e);
    assert_eq!((1.0 + e) * (1.0 - e) - 1.0, 0.0);
    // 97 * 172961 lies between two f32; by way of f64 the tiny addend would not decide.
    let tiny = 2f32.powi(-60);
    assert_eq!(single(97.0, 172_961.0, tiny), 16_777_218.0);
    assert_eq!((97f64 * 172_961.0 + f64::from(tiny)) as f32, 16_777_216.0);
    assert_eq!(single(0.0, -1.0, 0.0).to_bits(), 0);
    assert!(single(f32::INFINITY, 0.0, 1.0).is_nan());
    let mut random = Random::new(4);
    for ty in register_types().filter(|t| t.is_integer()) {
        for _ in 0..1000 {
            let [a, b, c] = [random.bits(), random.bits(), random.bits()].map(|bits| Value::new(ty, bits));
            let exact = (a.to_integer().wrapping_mul(b.to_integer())).wrapping_add(c.to_integer());
            assert_eq!(semantics::multiply_add(ty, a, b, c), Value::integer(ty, exact));
        }
    }
}

/// `v[i]` after the round of distance d, by the definition and recursion.
fn by_definition(op: Combine, ty: Type, slots: &[Value], i: usize, d: usize) -> Value {
    if d == 0 {
        return slots[i];
    }
    let before = |i| by_definition(op, ty, slots, i, d / 2);
    if i < d { before(i) } else { semantics::fold(op, ty, before(i - d), before(i)) }
}

#[test]
fn reduce_and_scan_by_their_definition() {
    let mut random = Random::new(5);
    for name in ["scan", "reduce"] {
        let row = ROWS.iter().find(|r| r.mnemonic == name).unwrap();
        let Suffix::Combine(combines) = row.suffix else { panic!("{name} combines") };
        for &(op, types) in combines {
            for ty in register_types().filter(|&t| types.contains(t)) {
                for size in [1usize, 2, 3, 5, 8, 37] {
                    let pool = inputs(ty, &mut random, 60);
                    let present: Vec<Option<Value>> = (0..size)
                        .map(|_| {
                            (!random.chance(15))
                                .then(|| if random.chance(20) { edges(ty)[0] } else { *random.pick(&pool) })
                        })
                        .collect();
                    let wide = ty == Type::F32 && matches!(op, Combine::Add | Combine::Mul);
                    let inner = if wide { Type::F64 } else { ty };
                    let mut slots: Vec<Value> = present
                        .iter()
                        .map(|v| {
                            v.map_or(semantics::identity(op, inner), |v| {
                                if wide { Value::double(v.to_double()) } else { v }
                            })
                        })
                        .collect();
                    slots.resize(size.next_power_of_two(), semantics::identity(op, inner));
                    let got = semantics::scan(op, ty, &present);
                    for (i, &got) in got.iter().enumerate() {
                        let value = by_definition(op, inner, &slots, i, slots.len() / 2);
                        let expected = if wide { Value::single(value.to_double() as f32) } else { value };
                        assert_eq!(canonical(got), canonical(expected), "{name}.{}.{}", op.name(), ty.name());
                    }
                }
            }
        }
    }
}

#[test]
fn identities_change_nothing() {
    for op in Combine::ALL {
        for ty in register_types() {
            let taken = ROWS.iter().any(|r| match r.suffix {
                Suffix::Combine(combines) => combines.iter().any(|&(c, types)| c == op && types.contains(ty)),
                _ => false,
            });
            for a in edges(ty).into_iter().filter(|_| taken) {
                let (left, right) = (semantics::identity(op, ty), a);
                assert_eq!(canonical(semantics::fold(op, ty, left, right)), canonical(a), "{op:?} {a}");
                assert_eq!(canonical(semantics::fold(op, ty, right, left)), canonical(a), "{op:?} {a}");
            }
        }
    }
}
