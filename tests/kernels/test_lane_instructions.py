"""Every instruction of lane programs, type and kind of operand against NumPy, on every backend and level."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import corepy as cp
from inputs import Array, bits, plain, special
from lane_backends import every_backend
from ops.lanes import COMBINES, TYPES, lane_types, mnemonics, type_set
from ops.table import Elementwise
from oracles import ELEMENTWISE

DTYPE = dict(TYPES)
REGISTERS = type_set("real_or_bool")
# Two blocks and a part of one.
N = 150
BLOCK = 64


def immediate(value: Any) -> str:
    """The value as a program's text has it."""
    value = np.asarray(value)[()]
    if value.dtype.kind == "b":
        return "true" if value else "false"
    return repr(value.item()) if value.dtype.kind in "iu" else repr(float(value))


def run(text: str, *args: Any, backend: str, lanes: int = N) -> None:
    with np.errstate(all="ignore"):
        cp.lanes.parse(text).launch(*args, lanes=lanes, block=BLOCK, backend=backend)


def same(got: Array, expected: Array, what: object) -> None:
    expected = np.asarray(expected).astype(got.dtype, copy=False)
    if bits(got) != bits(expected):
        at = next(i for i in range(got.size) if bits(got[i : i + 1]) != bits(expected[i : i + 1]))
        pytest.fail(f"{what} at {at}: {got[at]!r}, not {expected[at]!r}")


def inputs(row: Elementwise, ty: str) -> list[Array]:
    a = special(DTYPE[ty], N)
    if row.arity == 1:
        return [a]
    b = special(DTYPE[ty], N, seed=7)[::-1].copy()
    kind = ELEMENTWISE[row.name].right
    if kind == "nonzero" and b.dtype.kind in "iu":
        b[b == 0] = 3
    elif kind == "exponent":
        b = (np.arange(N) % 5).astype(b.dtype)
    elif kind == "shift":
        b = (np.arange(N) % (8 * b.dtype.itemsize + 3)).astype(b.dtype)
    return [a, b]


ELEMENTS = [(m, ty) for m, row in mnemonics().items() for ty in lane_types(row)]


@every_backend
@pytest.mark.parametrize(("mnemonic", "ty"), ELEMENTS)
def test_elementwise(mnemonic: str, ty: str, backend: str) -> None:
    """Registers, params, immediates and lanes' places in each operand's place; the bits of the tensor operation."""
    row = mnemonics()[mnemonic]
    operands = inputs(row, ty)
    result = "b1" if row.result == "bool" else ty
    function: Callable[..., Any] = getattr(cp, row.name)
    kinds = ["register", "param", "immediate"]
    if ty == "i64" and ELEMENTWISE[row.name].right != "exponent":
        kinds.append("special")
    for choice in itertools.product(kinds, repeat=row.arity):
        declared, loads, names, args, values = "", "", [], [], []
        for i, (kind, a) in enumerate(zip(choice, operands, strict=True)):
            one = a[17 + i]
            if kind == "register":
                declared += f".buffer x{i}: in {ty}[:]\n"
                loads += f"ldg.{ty} r{i}, x{i}[%gid]\n"
                args.append(a)
                values.append(a)
                names.append(f"r{i}")
            elif kind == "param":
                declared += f".param x{i}: {ty}\n"
                args.append(one.item())
                values.append(np.full(N, one))
                names.append(f"x{i}")
            elif kind == "special":
                names.append("%lanes" if i else "%lane")
                values.append(np.full(N, BLOCK) if i else np.arange(N) % BLOCK)
            else:
                names.append(immediate(one))
                values.append(np.full(N, one))
        out = np.zeros(N, DTYPE[result])
        text = f".kernel k\n{declared}.buffer out: out {result}[:]\n{loads}{mnemonic}.{ty} v, {', '.join(names)}\nstg.{result} out[%gid], v\nexit"
        run(text, *args, out, backend=backend)
        same(out, np.asarray(function(*map(cp.asarray, values))), (mnemonic, ty, choice))
        if choice == ("register",) * row.arity and out.dtype.kind in ELEMENTWISE[row.name].exact + "b":
            with np.errstate(all="ignore"):
                same(out, ELEMENTWISE[row.name].oracle(*values), (mnemonic, ty, "NumPy"))


@every_backend
@pytest.mark.parametrize(("to", "of"), list(itertools.product(REGISTERS, repeat=2)))
def test_cvt(to: str, of: str, backend: str) -> None:
    a = special(DTYPE[of], N)
    out = np.zeros(N, DTYPE[to])
    run(
        f".kernel k\n.buffer x: in {of}[:]\n.buffer out: out {to}[:]\nldg.{of} v, x[%gid]\ncvt.{to}.{of} w, v\nstg.{to} out[%gid], w\nexit",
        a,
        out,
        backend=backend,
    )
    if a.dtype.kind == "f" and out.dtype.kind in "iu":
        limits = np.iinfo(out.dtype)
        exact = [
            0 if np.isnan(v) else limits.max if v >= 2.0**64 else limits.min if v <= -(2.0**64) else int(v)
            for v in a.astype(np.float64)
        ]
        expected = np.array([min(max(v, limits.min), limits.max) for v in exact], out.dtype)
    else:
        with np.errstate(all="ignore"):
            expected = (a != 0) if to == "b1" else a.astype(out.dtype)
    same(out, expected, (to, of))


@every_backend
@pytest.mark.parametrize("ty", [ty for ty, _ in TYPES])
def test_loads_and_stores_of_every_type_and_layout(ty: str, backend: str) -> None:
    if ty == "bf16":
        wide = special("float32", 2 * N)
        a = cp.astype(cp.asarray(wide), cp.bfloat16)[::2]
        out: Any = cp.zeros((N, 3), dtype=cp.bfloat16)[:, 1]
    else:
        wide = special(DTYPE[ty], 2 * N)
        a, out = wide[::2], np.zeros((N, 3), DTYPE[ty])[:, 1]
    text = f".kernel k\n.buffer x: in {ty}[:]\n.buffer out: out {ty}[:]\nsub.i64 i, {N - 1}, %gid\nldg.{ty} v, x[i]\nmov.{'f32' if ty.endswith('f16') else ty} w, v\nstg.{ty} out[%gid], w\nexit"
    run(text, a, out, backend=backend)

    def widen(t: Any) -> Array:
        return np.asarray(cp.astype(t, cp.float32) if ty == "bf16" else t)

    same(widen(out).copy(), widen(a)[::-1].copy(), ty)


@every_backend
def test_storage_types_round_once(backend: str) -> None:
    a = special("float32", N)
    for ty in ("f16", "bf16"):
        out = cp.zeros(N, dtype=DTYPE[ty])
        again = np.zeros(N, np.float32)
        run(
            f".kernel k\n.buffer x: in f32[:]\n.buffer out: out {ty}[:]\n.buffer again: out f32[:]\nldg.f32 v, x[%gid]\nstg.{ty} out[%gid], v\nrnd.{ty} w, v\nstg.f32 again[%gid], w\nexit",
            a,
            out,
            again,
            backend=backend,
        )
        expected = np.asarray(cp.astype(cp.astype(cp.asarray(a), DTYPE[ty]), cp.float32))
        same(np.asarray(cp.astype(out, cp.float32)), expected, ty)
        same(again, expected, ty)
    with np.errstate(over="ignore"):
        same(np.asarray(cp.astype(cp.asarray(a), cp.float16)), a.astype(np.float16), "NumPy")


@every_backend
@pytest.mark.parametrize("ty", [*type_set("real_floating"), *type_set("integer")])
def test_fma_and_mad(ty: str, backend: str) -> None:
    a, b, c = (special(DTYPE[ty], N, seed) for seed in (1, 2, 3))
    b, c = b[::-1].copy(), np.roll(c, 11)
    op = "fma" if ty[0] == "f" else "mad"
    out = np.zeros(N, DTYPE[ty])
    loads = "".join(f"ldg.{ty} {n}, x{n}[%gid]\n" for n in "abc")
    run(
        f".kernel k\n{''.join(f'.buffer x{n}: in {ty}[:]{chr(10)}' for n in 'abc')}.buffer out: out {ty}[:]\n{loads}{op}.{ty} v, a, b, c\nstg.{ty} out[%gid], v\nexit",
        a,
        b,
        c,
        out,
        backend=backend,
    )
    with np.errstate(all="ignore"):
        if ty == "f32":
            # The product is exact in float64 and the sum, but for a few bits, in longdouble.
            expected = (a.astype(np.longdouble) * b + c).astype(np.float32)
        elif ty == "f64":
            finite = np.isfinite(a) & np.isfinite(b) & np.isfinite(c)
            expected = a * b + c
            for i in np.flatnonzero(finite):
                expected[i] = exact_fma(a[i], b[i], c[i], expected[i])
        else:
            expected = a * b + c
    same(out, expected, ty)


def exact_fma(a: Any, b: Any, c: Any, plain_result: Any) -> Any:
    from fractions import Fraction

    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    if exact == 0:
        return plain_result
    try:
        return float(exact)
    except OverflowError:
        return np.inf if exact > 0 else -np.inf


@every_backend
@pytest.mark.parametrize("ty", REGISTERS)
def test_sel_keeps_every_bit(ty: str, backend: str) -> None:
    a, b = special(DTYPE[ty], N, 1), special(DTYPE[ty], N, 2)[::-1].copy()
    p = plain("bool", N, 3)
    out = np.zeros(N, DTYPE[ty])
    text = f".kernel k\n.buffer p: in b1[:]\n.buffer a: in {ty}[:]\n.buffer b: in {ty}[:]\n.buffer out: out {ty}[:]\nldg.b1 q, p[%gid]\nldg.{ty} u, a[%gid]\nldg.{ty} v, b[%gid]\nsel.{ty} w, q, u, v\nstg.{ty} out[%gid], w\nexit"
    run(text, p, a, b, out, backend=backend)
    assert out.tobytes() == np.where(p, a, b).tobytes()


def fold(op: str) -> Callable[[Any, Any], Any]:
    row = mnemonics()[op]
    return ELEMENTWISE[row.name].oracle


REDS = [(c.mnemonic, ty) for c in COMBINES if c.red for ty in type_set(c.red)]


@every_backend
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("op", "ty"), REDS)
def test_red(op: str, ty: str, shared: bool, backend: str) -> None:
    a = special(DTYPE[ty], N)
    start = special(DTYPE[ty], 7, seed=5)
    places = (np.arange(N) * 5 % 7).astype(np.int64)
    out = start.copy() if not shared else np.zeros((3, 7), DTYPE[ty])
    head = f".kernel k\n.buffer x: in {ty}[:]\n.buffer at: in i64[:]\n"
    load = f"ldg.{ty} v, x[%gid]\nldg.i64 i, at[%gid]\n"
    if shared:
        text = f"{head}.buffer out: out {ty}[:, :]\n.shared s: {ty}[7]\n{load}redsh.{op}.{ty} s[i], v\nbarrier\nsetge.i64 p, %lane, 7\nbra p, end\nlds.{ty} w, s[%lane]\nstg.{ty} out[%block, %lane], w\nend:\nexit"
    else:
        text = f"{head}.buffer out: inout {ty}[:]\n{load}red.{op}.{ty} out[i], v\nexit"
    run(text, a, places, out, backend=backend)
    expected = start.copy() if not shared else np.zeros((3, 7), DTYPE[ty])
    with np.errstate(all="ignore"):
        for i in range(N):
            at: Any = (i // BLOCK, places[i]) if shared else places[i]
            expected[at] = np.asarray(
                fold(op)(
                    expected[at : at + 1] if not shared else expected[at[0], at[1] : at[1] + 1], a[i : i + 1]
                )
            )[0]
    same(out.ravel(), expected.ravel(), (op, ty))


IDENTITY: dict[str, Callable[[np.dtype[Any]], Any]] = {
    "add": lambda t: -0.0 if t.kind == "f" else 0,
    "mul": lambda t: 1,
    "min": lambda t: np.inf if t.kind == "f" else np.iinfo(t).max,
    "max": lambda t: -np.inf if t.kind == "f" else np.iinfo(t).min,
    "and": lambda t: True if t.kind == "b" else np.array(-1).astype(t),
    "or": lambda t: 0,
    "xor": lambda t: 0,
}


def scanned(op: str, values: Array, size: int) -> Array:
    """The definition: for d = 1, 2, 4 ..., v[i] = v[i - d] op v[i], all at once; float32 sums in float64."""
    t = values.dtype
    wide = np.float64 if t == np.float32 and op in ("add", "mul") else t
    v = np.full(size, IDENTITY[op](t), wide)
    v[: len(values)] = values
    d = 1
    with np.errstate(all="ignore"):
        while d < size:
            v[d:] = fold(op)(v[:-d].copy(), v[d:].copy())
            d *= 2
        return v.astype(t)


@every_backend
@pytest.mark.parametrize(
    ("name", "op", "ty"),
    [
        (n, c.mnemonic, ty)
        for c in COMBINES
        for n in ("reduce", "scan")
        if getattr(c, n)
        for ty in type_set(getattr(c, n))
    ],
)
def test_reduce_and_scan(name: str, op: str, ty: str, backend: str) -> None:
    for make in (plain, special):
        a = make(DTYPE[ty], N)
        out = np.zeros(N, DTYPE[ty])
        run(
            f".kernel k\n.buffer x: in {ty}[:]\n.buffer out: out {ty}[:]\nldg.{ty} v, x[%gid]\n{name}.{op}.{ty} w, v\nstg.{ty} out[%gid], w\nexit",
            a,
            out,
            backend=backend,
        )
        expected = out.copy()
        for start in range(0, N, BLOCK):
            part = a[start : start + BLOCK]
            found = scanned(op, part, BLOCK)
            expected[start : start + BLOCK] = found[: len(part)] if name == "scan" else found[-1]
        same(out, expected, (name, op, ty, make.__name__))


@every_backend
def test_special_registers(backend: str) -> None:
    names = [
        f"%{what}.{axis}" for what in ("gid", "lane", "block", "lanes", "blocks", "grid") for axis in "xyz"
    ]
    body = "".join(
        f"mov.i64 v, {name}\nstg.i64 x[%gid.z, %gid.y, %gid.x, {i}], v\n" for i, name in enumerate(names)
    )
    p = cp.lanes.parse(f".kernel k\n.buffer x: out i64[:, :, :, :]\n{body}exit")
    for lanes, block in (((5, 4, 3), (2, 3, 2)), ((1, 1, 7), (4, 4, 4)), ((70, 1, 2), (64, 2, 1))):
        x = np.full((*lanes[::-1], 18), -1)
        p.launch(x, lanes=lanes, block=block, backend=backend)
        z, y, x_ = np.indices(lanes[::-1])
        for axis, gid in enumerate((x_, y, z)):
            expected = (
                gid,
                gid % block[axis],
                gid // block[axis],
                block[axis],
                -(-lanes[axis] // block[axis]),
                lanes[axis],
            )
            for k, value in enumerate(expected):
                assert np.array_equal(x[..., 3 * k + axis], np.broadcast_to(value, gid.shape)), names[
                    3 * k + axis
                ]


@every_backend
def test_control_flow(backend: str) -> None:
    """Collatz: lanes of one block part in a loop, in a branch, and in a subroutine that returns from two places."""
    text = """
    .kernel collatz
    .buffer steps: out i32[:]
    .buffer highest: out i64[:]
        add.i64 n, %gid, 1
        mov.i32 count, 0
        mov.i64 top, n
        loop i, 1000
            seteq.i64 done, n, 1
            break done
            call step
            add.i32 count, count, 1
            setle.i64 lower, n, top
            continue lower
            mov.i64 top, n
        endloop
        stg.i32 steps[%gid], count
        stg.i64 highest[%gid], top
        exit
    step:
        and.i64 odd, n, 1
        seteq.i64 even, odd, 0
        bra even, half
        mad.i64 n, n, 3, 1
        ret
    half:
        shr.i64 n, n, 1
        ret
    """
    steps, highest = np.zeros(N, np.int32), np.zeros(N, np.int64)
    run(text, steps, highest, backend=backend)
    for i in range(N):
        n, count, top = i + 1, 0, i + 1
        while n != 1:
            n = n // 2 if n % 2 == 0 else 3 * n + 1
            count, top = count + 1, max(top, n)
        assert (steps[i], highest[i]) == (count, top)
