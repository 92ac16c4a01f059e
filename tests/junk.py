"""Calls of everything public with arguments that no caller should give; `--call N` repeats one.

Runs in a process of its own, which tests/test_junk.py starts: whatever happens to it is told there.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import inspect
import json
import math
import mmap
import operator
import os
import pickle
import random
import resource
import signal
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

for folder in (Path(__file__).resolve().parent.parent, Path(__file__).resolve().parent):
    sys.path.insert(0, str(folder))

import numpy as np  # noqa: E402 (the folders come first)

import corepy as cp  # noqa: E402
from hostile import DOCUMENTED, DTYPES, KEPT, SHAPES, SPECIAL, TEXTS, Mine, junk, tensor  # noqa: E402
from ops.table import ELEMENTWISE, FUNCTIONS, REDUCTIONS  # noqa: E402

c: Any = cp
native: Any = sys.modules["corepy._native"]

# Memory for all that the process does beyond what it holds at the start.
MEMORY = 1 << 30
# Seconds after which a call is stopped, as Ctrl-C would.
LIMIT = 0.3
# The text of the call under way, for whoever finds the process dead.
JOURNAL = 1 << 14


class TimeUp(BaseException):
    """Raised by the signal that ends a long call."""


# ------------------------------------------------------------------------------- calls


def plausible(r: random.Random, name: str) -> Any:
    """What a parameter of this name takes, so that the other arguments are looked at too."""
    match name:
        case "axis" | "source" | "destination" | "axes":
            return r.choice([None, 0, -1, 1, (0,), (0, 1), (-1, 0), ()])
        case "dtype" | "type" | "to" | "from_":
            return r.choice([None, *DTYPES, "float32", float])
        case "shape":
            return r.choice([*SHAPES[:-3], -1, (-1, 2), (3, -1)])
        case "copy" | "keepdims" | "endpoint":
            return r.choice([True, False, None])
        case "device":
            return r.choice([None, "cpu"])
        case "stream" | "modulo":
            return None
        case "n" | "k" | "num" | "n_rows" | "n_cols" | "start" | "stop" | "step" | "correction":
            return r.choice([0, 1, 2, 5, -1, 1.5])
        case "key":
            return r.choice([0, -1, ..., None, slice(None), (0, ...), [0, 0], True, (slice(None), None)])
        case "lanes" | "block":
            return r.choice([0, 1, 5, (2, 3), (1, 1, 1)])
        case "backend":
            return r.choice(["auto", "reference", "tile"])
        case "check_races":
            return r.choice([True, False])
        case "step_limit":
            return r.choice([None, 0, 3, 100])
        case "text":
            return r.choice([p.text for p in PROGRAMS])[: r.choice([None, 40, 90])]
        case "name" | "mode" | "opcode":
            return r.choice(["k", "x", "in", "out", "add.f32", "exit", "assert", "ldg.i8"])
        case "extents":
            return r.choice([1, (2, 3), [4], ()])
        case "operands":
            return r.choice(["a", "%gid", "x[0]", "!p", 1, 0.5, True])
        case "arrays":
            return [tensor(r) for _ in range(r.randrange(4))]
        case "seconds":
            return r.choice([0.0, 0.01, -1.0, float("nan")])
        case "max_version" | "dl_device":
            return r.choice([None, (1, 0), (0, 8), (1, 2)])
    return tensor(r) if r.random() < 0.8 else r.choice([1, 2.5, True, [1, 2, 3]])


def given(r: random.Random, parameters: list[inspect.Parameter] | None) -> tuple[list[Any], dict[str, Any]]:
    """Arguments for a signature, most of them plausible; or any number of any arguments."""
    if parameters is None or r.random() < 0.08:
        words = r.sample(["axis", "dtype", "copy", "x", "", "keepdims"], 1) if r.random() < 0.2 else []
        return [junk(r) for _ in range(r.randrange(4))], {word: junk(r) for word in words}
    good = r.choice([0.2, 0.6, 0.85])
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for p in parameters:
        value = plausible(r, p.name) if r.random() < good else junk(r)
        if p.kind is p.VAR_POSITIONAL:
            args += [junk(r) if r.random() > good else tensor(r) for _ in range(r.randrange(4))]
        elif p.kind is p.KEYWORD_ONLY:
            if r.random() < 0.5:
                kwargs[p.name] = value
        elif p.default is p.empty or r.random() < 0.6:
            args.append(value)
        else:
            break
    return args, kwargs


def parameters_of(target: Any, bound: bool = False) -> list[inspect.Parameter] | None:
    try:
        found = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):
        return None
    return found[1:] if bound else found


PROGRAMS = [
    cp.lanes.parse(text)
    for text in (
        ".kernel saxpy\n.param a: f32\n.buffer x: in f32[:]\n.buffer y: inout f32[:]\nldg.f32 u, x[%gid]\n"
        "mul.f32 u, a, u\nstg.f32 y[%gid], u\nexit",
        ".kernel i\n.param n: i64\n.buffer x: inout i64[:, :]\nloop i, n\nred.add.i64 x[%gid.y, i], 1\nendloop\nexit",
        ".kernel b\n.param p: b1\n.buffer x: out b1[:]\nstg.b1 x[%lane], p\nbarrier\nexit",
        ".kernel endless\ntop:\nbra top",
        '.kernel c\n.buffer x: in bf16[:]\n.buffer y: out u8[:, :, :]\n assert false, "no"\nexit',
    )
]


def program(r: random.Random) -> Any:
    return r.choice(PROGRAMS)


def builder(r: random.Random) -> Any:
    b = c.lanes.Builder("k")
    return b.param("a", "f32").emit("mov.f32", "v", "a") if r.random() < 0.7 else b


def launch(r: random.Random) -> tuple[Any, list[Any], dict[str, Any]]:
    """A launch whose arguments are mostly what the program takes."""
    p, good = program(r), r.choice([0.5, 0.9, 1.0])
    args: list[Any] = []
    for a in p.arguments:
        if r.random() > good:
            args.append(junk(r))
        elif a.kind == "param":
            args.append(r.choice([True, False]) if a.dtype is cp.bool else r.choice([0, 1, 3, -1, 2.0]))
        else:
            args.append(c.zeros(r.choice([(7,) * a.ndim, (0,) * a.ndim, (2, 3, 4)[: a.ndim]]), dtype=a.dtype))
    options = {"lanes": r.choice([0, 1, 3, 7, (2, 3), (7, 7, 7), 2**40]) if r.random() < good else junk(r)}
    for name, values in (("block", [1, 256, 1024, (4, 4)]), ("backend", ["auto", "reference"]), ("check_races", [True, False]), ("step_limit", [None, 0, 10])):  # fmt: skip
        if r.random() < 0.4:
            options[name] = r.choice(values) if r.random() < good else junk(r)
    return p.launch, args, options


# Not called: what ends or changes the process on purpose, and Python's own machinery of classes.
LEFT_OUT = {"__class__", "__init_subclass__", "__subclasshook__", "__new__", "__dir__"}
BINARY = (
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and_",
    "or_",
    "xor",
    "lshift",
    "rshift",
)
COMPARE = ("eq", "ne", "lt", "le", "gt", "ge")
KEYED = ("__getitem__", "__setitem__", "__delitem__", "__contains__")

Target = tuple[str, Callable[[random.Random], tuple[Any, list[Any], dict[str, Any]]]]


def targets() -> list[Target]:
    """Everything public, each as a name and a maker of a call."""
    found: list[Target] = []

    def add(name: str, make: Callable[[random.Random], tuple[Any, list[Any], dict[str, Any]]]) -> None:
        found.append((name, make))

    def function(name: str, target: Any) -> None:
        parameters = parameters_of(target)
        add(name, lambda r: (target, *given(r, parameters)))

    def method(label: str, name: str, owner: Callable[[random.Random], Any], parameters: Any) -> None:
        if name in KEYED:

            def make(r: random.Random) -> tuple[Any, list[Any], dict[str, Any]]:
                key = plausible(r, "key") if r.random() < 0.4 else junk(r)
                value = (
                    [plausible(r, "value") if r.random() < 0.5 else junk(r)] if name == "__setitem__" else []
                )
                return getattr(owner(r), name), [key, *value], {}
        else:

            def make(r: random.Random) -> tuple[Any, list[Any], dict[str, Any]]:
                return getattr(owner(r), name), *given(r, parameters)

        add(f"{label}.{name}", make)

    def methods(label: str, kind: Any, owner: Callable[[random.Random], Any]) -> None:
        for name in dir(kind):
            if name in LEFT_OUT:
                continue
            attribute = inspect.getattr_static(kind, name)
            if callable(getattr(kind, name, None)):
                method(label, name, owner, parameters_of(getattr(kind, name), bound=True))
            elif not callable(attribute):
                add(f"{label}.{name}", lambda r, name=name: (getattr, [owner(r), name], {}))
                add(f"set {label}.{name}", lambda r, name=name: (setattr, [owner(r), name, junk(r)], {}))
                add(f"del {label}.{name}", lambda r, name=name: (delattr, [owner(r), name], {}))

    for name in dir(cp):
        target = getattr(cp, name)
        if (
            callable(target)
            and not name.startswith("_")
            and not (isinstance(target, type) and issubclass(target, BaseException))
        ):
            function(name, target)
    function("_rebuild", native._rebuild)
    methods("Tensor", cp.Tensor, tensor)
    methods("DType", cp.DType, lambda r: r.choice(DTYPES))
    methods("finfo", type(cp.finfo(cp.float32)), lambda r: cp.finfo(r.choice(DTYPES[9:])))
    methods("iinfo", type(cp.iinfo(cp.int8)), lambda r: cp.iinfo(r.choice(DTYPES[1:9])))
    methods("threads", cp.threads, lambda r: cp.threads(r.randrange(1, 4)))
    function("lanes.parse", cp.lanes.parse)
    function("lanes.load", cp.lanes.load)
    function("lanes.backends", cp.lanes.backends)
    function("lanes.Builder", cp.lanes.Builder)
    methods("Builder", cp.lanes.Builder, builder)
    methods("Program", cp.lanes.Program, program)
    methods("Launcher", cp.lanes.Launcher, lambda r: program(r)[r.choice([0, 1, 7, (3, 2)])])
    methods("Argument", cp.lanes.Argument, lambda r: r.choice(PROGRAMS[0].arguments))
    methods("Backend", cp.lanes.Backend, lambda r: r.choice(cp.lanes.backends()))
    add("launch", launch)
    rows = type(iter(cp.zeros(1)))
    methods("rows", rows, lambda r: iter(c.zeros(r.choice([s for s in SHAPES if s]))))

    for name in BINARY:
        for prefix in ("", "i"):
            act = getattr(
                operator, prefix + name.rstrip("_") + ("_" if name.endswith("_") and not prefix else "")
            )
            for mine_first in (True, False):

                def make(r: random.Random, act: Any = act, mine_first: bool = mine_first) -> Any:
                    sides = [tensor(r), junk(r)]
                    return act, sides if mine_first else sides[::-1], {}

                add(f"{prefix}{name}{'' if mine_first else ' reflected'}", make)
    for name in COMPARE:
        compare = getattr(operator, name)
        add(name, lambda r, act=compare: (act, r.sample([tensor(r), junk(r)], 2), {}))
    add("pow of three", lambda r: (pow, [tensor(r), junk(r), junk(r)], {}))
    add("divmod", lambda r: (divmod, r.sample([tensor(r), junk(r)], 2), {}))
    for act in (
        bool,
        int,
        float,
        complex,
        len,
        iter,
        hash,
        repr,
        str,
        list,
        bytes,
        bytearray,
        memoryview,
        operator.index,
        copy.copy,
        copy.deepcopy,
        np.asarray,
        abs,
        round,
        math.floor,
        sorted,
        set,
        sum,
        any,
        max,
    ):
        add(f"Python's {act.__name__}", lambda r, act=act: (act, [tensor(r)], {}))
    add("format", lambda r: (format, [tensor(r), r.choice([*TEXTS, ".3e", "d", "s", ">10"])], {}))
    add(
        "np.asarray with options",
        lambda r: (
            np.asarray,
            [tensor(r)],
            {"dtype": r.choice([None, "f4", "S3", object, "M8[s]"]), "copy": r.choice([None, True, False])},
        ),
    )
    add(
        "numpy ufunc",
        lambda r: (r.choice([np.add, np.sqrt, np.matmul]), [tensor(r), junk(r)][: r.randrange(1, 3)], {}),
    )
    add("pickle", lambda r: (lambda t, n: pickle.loads(pickle.dumps(t, n)), [tensor(r), r.randrange(6)], {}))
    add(
        "with threads",
        lambda r: (with_threads, [plausible(r, "n") if r.random() < 0.5 else junk(r), tensor(r)], {}),
    )
    add(
        "consume rows",
        lambda r: (lambda t: [x.sum() for x, _ in zip(t, range(5), strict=False)], [tensor(r)], {}),
    )
    names = {name for name, _ in found}
    for row in (*ELEMENTWISE, *REDUCTIONS, *FUNCTIONS):
        assert row.name in names, row.name
    return found


# What takes any object, and looks into it.
DEEP = {
    "asarray", "Tensor", "from_dlpack", "result_type", "full", "arange", "linspace", "concat", "stack", "where", "take", "_rebuild",
    "reshape", "astype", "zeros", "isdtype", "Tensor.__getitem__", "Tensor.__setitem__", "Tensor.__contains__", "sum",
    "launch", "Program.launch", "Builder.emit",
}  # fmt: skip


def weight(name: str) -> int:
    """How often a target comes round: seldom where there is little to do wrong."""
    if name in DEEP:
        return 24
    return 1 if name.startswith(("set ", "del ")) or "." in name else 4


def with_threads(n: Any, t: Any) -> Any:
    with c.threads(n):
        return c.sum(t)


# ------------------------------------------------------------------------------- the run


def shown(value: Any) -> str:
    """A value for the journal, without running any of its code where it is hostile."""
    kind = type(value)
    if kind in (int, float, bool, str, type(None), complex):
        return repr(value)[:80] if kind is not int or abs(value) < 10**60 else "a huge int"
    if kind is cp.Tensor:
        return f"Tensor{tuple(value.shape)[:5]}:{value.dtype.name}"
    if kind in (list, tuple):
        return f"{kind.__name__} of {list.__len__(value) if kind is list else tuple.__len__(value)}"
    if kind.__name__ == "Hostile":
        return f"Hostile({kind.__mro__[1].__name__}: {', '.join(n for n in vars(kind) if n in SPECIAL)})"
    return kind.__name__


class Run:
    def __init__(self, seed: int, journal: Path | None) -> None:
        self.seed = seed
        self.targets = [target for target in targets() for _ in range(weight(target[0]))]
        if journal is None:
            self.journal = mmap.mmap(-1, JOURNAL)
        else:
            # A mapped file keeps what was written when the process dies.
            journal.write_bytes(bytes(JOURNAL))
            with journal.open("r+b") as file:
                self.journal = mmap.mmap(file.fileno(), JOURNAL)
        self.outcomes: Counter[str] = Counter()
        self.per_target: Counter[str] = Counter()
        self.undocumented: list[str] = []

        # What is printed because no caller is there to raise it to.
        def unraisable(lost: Any) -> None:
            # The signal that ends a long call may meet a method whose exceptions Python drops.
            if not isinstance(lost.exc_value, TimeUp):
                self.undocumented.append(f"{self.text}\nunraisable: {lost.exc_value!r}")

        sys.unraisablehook = unraisable

    def call(self, i: int, loud: bool = False) -> None:
        r = random.Random(f"{self.seed}/{i}")
        # Each target in turn, so that none depends on luck.
        name, make = self.targets[i % len(self.targets)]
        self.write(f"call {i} (seed {self.seed}): {name}, making its arguments")
        try:
            act, args, kwargs = make(r)
        except Mine:
            return
        text = ", ".join([shown(a) for a in args] + [f"{k}={shown(v)}" for k, v in kwargs.items()])
        self.write(f"call {i} (seed {self.seed}): {name}({text})")
        if loud:
            print(name, text, flush=True)
        self.per_target[name] += 1
        outcome = "returned"
        try:
            # Again and again: whoever calls a hostile method may swallow what it raises.
            signal.setitimer(signal.ITIMER_REAL, LIMIT, LIMIT)
            try:
                value = act(*args, **kwargs)
                if isinstance(value, cp.Tensor) and value.nbytes < 1 << 20:
                    repr(value)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except (Mine, TimeUp, StopIteration) as error:
            outcome = type(error).__name__
        except cp.InternalError:
            self.undocumented.append(f"{self.text}\n{traceback.format_exc()}")
        except DOCUMENTED as error:
            outcome = type(error).__name__
        except BaseException:
            self.undocumented.append(f"{self.text}\n{traceback.format_exc()}")
        self.outcomes[outcome] += 1

    def write(self, text: str) -> None:
        self.text = text
        raw = text.encode(errors="backslashreplace")[: JOURNAL - 1]
        self.journal[: len(raw) + 1] = raw + b"\0"

    def settle(self) -> None:
        """The library still works, and what calls have set is put back."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        cp.set_num_threads(2)
        cp.set_allocator("pool")
        cp.set_printoptions(precision=8, threshold=1000, edgeitems=3, linewidth=75, suppress=False)
        assert cp.sum(cp.arange(100_000)).item() == 4_999_950_000
        assert (cp.asarray([5e-324]) * 1.0).item() == 5e-324
        KEPT.clear()


def raise_time_up(_number: int, _frame: object) -> None:
    raise TimeUp


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--call", type=int, help="makes this one call alone, and shows it")
    parser.add_argument("--journal", type=Path)
    parser.add_argument("--result", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    # What tune measures here is not kept.
    os.environ["COREPY_TUNING"] = "off"
    np.seterr(all="ignore")
    signal.signal(signal.SIGALRM, raise_time_up)
    # Numbers of processors and pool sizes differ; what is mapped now is not to be counted.
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))
    run = Run(options.seed, options.journal)
    calls = range(options.first, options.first + options.calls) if options.call is None else [options.call]
    # Some functions print, which is what they are for.
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(sys.stdout if options.call is not None else nowhere),
    ):
        for done, i in enumerate(calls):
            run.call(i, loud=options.call is not None)
            if done % 500 == 499:
                run.settle()
        run.settle()
    found = {
        "outcomes": run.outcomes,
        "targets": run.per_target,
        "undocumented": run.undocumented,
        "all": len({name for name, _ in run.targets}),
    }
    if options.result:
        options.result.write_text(json.dumps(found))
    else:
        print(json.dumps({**found, "targets": len(run.per_target)}, indent=1))
    # Hostile objects are left as they are: their methods may do anything when the interpreter ends.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
