"""The command line: `python -m corepy <command>`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import corepy
from corepy import _configuration, _lanes_command


@dataclass(frozen=True)
class Command:
    """A subcommand: what it does, its arguments, and the function that gives its exit code."""

    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def _info_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--json", action="store_true", help="as one JSON object, the value of corepy.config()"
    )


def _info(given: argparse.Namespace) -> int:
    facts = corepy.config()
    print(json.dumps(facts, indent=2) if given.json else _configuration.text(facts))
    return 0


def _tune_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=10.0, help="about how long to measure (10)")


# A load average above this means that other programs run.
_BUSY = 0.7


def _load_note() -> str | None:
    """What to tell of a machine that is busy before tune begins; None for one that rests."""
    try:
        load = os.getloadavg()[0]
    except OSError:
        return None
    if load <= _BUSY:
        return None
    return f"note: load {load:.1f}; other programs slow what is measured, so tune again when they rest"


def _tune(given: argparse.Namespace) -> int:
    if note := _load_note():
        print(note, file=sys.stderr)
    try:
        path = corepy.tune(seconds=given.seconds)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(_configuration.costs(corepy.config()["tuning"]))
    print(f"kept in {path}" if path else "kept nowhere, as COREPY_TUNING is off or there is no home for it")
    return 0


COMMANDS = {
    "info": Command("what corepy found on this machine, and how it was built", _info_arguments, _info),
    "tune": Command("measures what operations and threads cost on this machine", _tune_arguments, _tune),
    "lanes": Command("checks, formats and runs lane programs", _lanes_command.arguments, _lanes_command.run),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; without a command it is 2, as for any wrong call."""
    parser = argparse.ArgumentParser(prog="python -m corepy", description="corepy, a tensor runtime.")
    parser.add_argument("--version", action="version", version=f"corepy {corepy.__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="command")
    for name, command in COMMANDS.items():
        command.arguments(commands.add_parser(name, help=command.help, description=command.help))
    given = parser.parse_args(arguments)
    if given.command is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        code = COMMANDS[given.command].run(given)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough. Python writes what is left once more when it ends, to nowhere then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        # Nobody who presses Ctrl-C wants a traceback; the code is that of shells, 128 and the signal.
        print("interrupted", file=sys.stderr)
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
