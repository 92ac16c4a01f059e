"""`python -m corepy lanes`: checks, formats, runs and times lane programs from the shell."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import corepy
from corepy import _lanes_arguments, lanes

# Exit codes: a program or its run is wrong; the command is.
WRONG, USAGE = 1, 2


class Failed(Exception):
    """What went wrong, as it is to be shown, and the exit code."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


# ---- errors in the style of compilers


def _at(path: str, line: int, column: int, kind: str, message: str, source: str) -> str:
    """`path:line:column: kind: message`, the line, and a caret."""
    # A tab stays one, so that the caret stands where the column is.
    indent = "".join("\t" if c == "\t" else " " for c in source[: column - 1])
    return f"{path}:{line}:{column}: {kind}: {message}\n{source}\n{indent}^"


def _on(path: str, text: str, line: int, kind: str, message: str) -> str:
    """As `_at`, for a whole line: the caret stands below its first character."""
    lines = text.split("\n")
    source = lines[line - 1].rstrip("\r") if 0 < line <= len(lines) else ""
    column = len(source) - len(source.lstrip()) + 1
    return _at(path, line, column, kind, message, source)


def _read(path: str) -> str:
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise Failed(f"{path}: error: {error.strerror or error}", USAGE) from None
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        why = f"not a text in UTF-8: byte {byte:#04x} at offset {error.start}"
        raise Failed(f"{path}: error: {why}", USAGE) from None


def _parse(path: str, text: str) -> lanes.Program:
    try:
        return lanes.parse(text)
    except lanes.ParseError as error:
        shown = _at(path, error.lineno or 1, error.offset or 1, "error", error.msg, error.text or "")
    except lanes.VerifyError as error:
        start = f"[{error.kernel}] line {error.line}: {error.instruction}: "
        shown = _on(path, text, error.line, "error", f"{str(error).removeprefix(start)} [{error.rule}]")
    raise Failed(shown, WRONG)


def _fault(path: str, text: str, fault: lanes.LaneFault) -> str:
    start = f"[{fault.kernel}] line {fault.line}: {fault.instruction}: "
    kind = "race" if isinstance(fault, lanes.RaceError) else "fault"
    shown = _on(path, text, fault.line, kind, str(fault).removeprefix(start))
    if isinstance(fault, lanes.RaceError):
        shown += "\n" + _on(path, text, fault.lines[0], "note", f"the access of lane {fault.lanes[0]}")
    return shown


# ---- check


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="programs; - is the standard input")


def _check(given: argparse.Namespace) -> int:
    return _each(given.files, lambda path, text: print(f"{path}: {_parse(path, text)!r}"))


def _each(paths: list[str], act: Callable[[str, str], None]) -> int:
    """Every file is looked at, whatever the others have; the worst exit code."""
    code = 0
    for path in paths:
        try:
            act(path, _read(path))
        except Failed as failed:
            print(failed, file=sys.stderr)
            code = max(code, failed.code)
    return code


# ---- fmt


def _fmt_arguments(parser: argparse.ArgumentParser) -> None:
    _check_arguments(parser)
    parser.add_argument("--check", action="store_true", help="change nothing; 1 if something would change")


def _comment(line: str) -> tuple[str, str]:
    """The code of a line, and its comment, which begins outside of messages."""
    quoted = escaped = False
    for at, c in enumerate(line):
        if escaped:
            escaped = False
        elif quoted and c == "\\":
            escaped = True
        elif c == '"':
            quoted = not quoted
        elif c == ";" and not quoted:
            return line[:at].strip(), line[at:].rstrip()
    return line.strip(), ""


def formatted(text: str, program: lanes.Program) -> str:
    """The text in the canonical form, with the comments and the empty lines of its author.

    A text has one line of code for each line of the canonical text, in the same order.
    """
    canonical = [line for line in program.text.split("\n") if line]
    out: list[str] = []
    waiting: list[str] = []
    position = 0
    for line in text.split("\n"):
        code, comment = _comment(line)
        if not code:
            # At most one empty line, and none at the start. Comments take the indentation of what follows.
            if comment or ((out or waiting) and (waiting or out)[-1]):
                waiting.append(comment)
            continue
        new = canonical[position]
        position += 1
        indent = new[: len(new) - len(new.lstrip())]
        out += [indent + c if c else "" for c in waiting]
        out.append(f"{new}  {comment}" if comment else new)
        waiting = []
    out += waiting
    while out and not out[-1]:
        out.pop()
    return "\n".join(out) + "\n"


def _fmt(given: argparse.Namespace) -> int:
    changed: list[str] = []

    def act(path: str, text: str) -> None:
        new = formatted(text, _parse(path, text))
        if new != text:
            changed.append(path)
        if path == "-" and not given.check:
            sys.stdout.write(new)
        elif new != text:
            print(f"{path}: {'would be changed' if given.check else 'changed'}")
            if not given.check:
                Path(path).write_text(new, encoding="utf-8")

    code = _each(given.files, act)
    return max(code, WRONG) if given.check and changed else code


# ---- run


def _extents(text: str) -> tuple[int, ...]:
    try:
        found = tuple(int(part) for part in text.split("x"))
    except ValueError:
        found = ()
    if not 1 <= len(found) <= 3:
        raise argparse.ArgumentTypeError(f"{text} is not one to three extents, as in 64x64")
    return found


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the program; - is the standard input")
    parser.add_argument(
        "--lanes", type=_extents, required=True, metavar="X[xY[xZ]]", help="lanes in the grid"
    )
    parser.add_argument(
        "--block", type=_extents, default=(256,), metavar="X[xY[xZ]]", help="lanes in a block (256)"
    )
    parser.add_argument(
        "--arg",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an argument: a number; zeros, ones, arange or random, with a dtype if it is not to be the"
        " declared one, and a shape, as in random:float32:1024 or zeros:32x32; or a file of NumPy's (a.npy)",
    )
    parser.add_argument(
        "--backend", default="auto", help="what runs it: auto, or a name of corepy.lanes.backends() (auto)"
    )
    parser.add_argument(
        "--check-races",
        action="store_true",
        help="races are errors; takes the reference interpreter, which is slow",
    )
    parser.add_argument(
        "--step-limit", type=int, metavar="N", help="rounds of loops that a lane may take (no limit)"
    )
    parser.add_argument("--repeat", type=int, default=10, metavar="N", help="launches that are timed (10)")
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="of random arguments (0): floats from 0 to 1, integers from 0 to 99",
    )


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"


def _launches(
    program: lanes.Program, given: argparse.Namespace, args: list[_lanes_arguments.Value]
) -> Iterator[float]:
    """Seconds of launches: the first one on the arguments themselves, the others on copies."""
    written = [
        i
        for i, (a, value) in enumerate(zip(program.arguments, args, strict=True))
        if a.kind in ("out", "inout") and isinstance(value, corepy.Tensor)
    ]
    fresh = {i: corepy.asarray(args[i], copy=True) for i in written}
    used = list(args)
    for _ in range(1 + max(given.repeat, 0)):
        start = time.perf_counter()
        program.launch(
            *used,
            lanes=given.lanes,
            block=given.block,
            backend=given.backend,
            check_races=given.check_races,
            step_limit=given.step_limit,
        )
        yield time.perf_counter() - start
        for i, value in fresh.items():
            used[i] = corepy.asarray(value, copy=True)


def _run(given: argparse.Namespace) -> int:
    try:
        text = _read(given.file)
        program = _parse(given.file, text)
        args = _lanes_arguments.values(program, given.arg, given.seed)
        first, *rest = _launches(program, given, args)
    except Failed as failed:
        print(failed, file=sys.stderr)
        return failed.code
    except lanes.LaneFault as fault:
        print(_fault(given.file, text, fault), file=sys.stderr)
        return WRONG
    except (TypeError, ValueError, OverflowError, OSError, MemoryError) as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    grid = " x ".join(f"{extent:,}" for extent in given.lanes)
    block = " x ".join(map(str, given.block))
    print(f"{program.name}: {grid} lanes in blocks of {block}, backend {given.backend}")
    times = f"first launch {_time(first)}"
    if rest:
        times += f", then {_time(statistics.median(rest))} (median of {len(rest)}), best {_time(min(rest))}"
    print(times)
    for argument, value in zip(program.arguments, args, strict=True):
        if argument.kind in ("out", "inout") and isinstance(value, corepy.Tensor):
            print(f"{argument.name}: {_lanes_arguments.summary(value)}")
    return 0


# ---- the command

_COMMANDS: dict[
    str, tuple[str, Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int]]
] = {
    "check": ("verify programs", _check_arguments, _check),
    "fmt": ("write programs in their canonical form, comments kept", _fmt_arguments, _fmt),
    "run": ("run a program once, then time it", _run_arguments, _run),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommands of `lanes`."""
    commands = parser.add_subparsers(title="commands", dest="lanes_command", metavar="command", required=True)
    for name, (help_, add, _) in _COMMANDS.items():
        add(commands.add_parser(name, help=help_, description=help_))


def run(given: argparse.Namespace) -> int:
    """Runs a subcommand; 0, 1 for a wrong program or a fault, 2 for a wrong call."""
    return _COMMANDS[given.lanes_command][2](given)
