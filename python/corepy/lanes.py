"""Lane programs: small kernels, checked before and while they run once for every lane of a grid.

A program is a text (`parse`, `load`) or built by calls (`Builder`). What the text can say is described in
docs/lanes.md, each instruction in docs/lane-instructions.md.
"""

from __future__ import annotations

import os

from corepy._native import Argument, Backend, Builder, Launcher, Program, _backends, _parse
from corepy.errors import LaneFault, ParseError, RaceError, VerifyError

__all__ = [
    "Argument",
    "Backend",
    "Builder",
    "LaneFault",
    "Launcher",
    "ParseError",
    "Program",
    "RaceError",
    "VerifyError",
    "backends",
    "load",
    "parse",
]


def parse(text: str, /) -> Program:
    """The program of a text, verified.

    Raises ParseError where the text is no program, VerifyError where it breaks a rule, TypeError for what is
    no str.

    Examples
    --------
    >>> import corepy as cp
    >>> p = cp.lanes.parse(".kernel nothing\\n exit")
    >>> print(p.text)
    .kernel nothing
    <BLANKLINE>
        exit
    <BLANKLINE>
    """
    return _parse(text, "<lanes>")


def load(path: str | bytes | os.PathLike[str] | os.PathLike[bytes], /) -> Program:
    """The program of a file in UTF-8, verified. A ParseError names the file.

    Raises as parse does, OSError for a file that cannot be read, UnicodeDecodeError for what is no UTF-8.

    Examples
    --------
    >>> import corepy as cp, pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "nothing.lanes")
    ...     _ = path.write_text(".kernel nothing\\n exit")
    ...     cp.lanes.load(path).name
    'nothing'
    """
    name = os.fsdecode(path)
    with open(name, encoding="utf-8") as file:  # noqa: PTH123 (pathlib would be imported for it)
        return _parse(file.read(), name)


def backends() -> tuple[Backend, ...]:
    """What can run programs, in the order in which "auto" looks at them; also what cannot be used here, with
    the reason.

    Examples
    --------
    >>> import corepy as cp
    >>> "reference" in [b.name for b in cp.lanes.backends()]
    True
    """
    return _backends()
