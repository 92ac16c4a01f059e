"""The configuration as text, for people."""

from __future__ import annotations

from typing import Any

import corepy

_UNITS = (("GiB", 30), ("MiB", 20), ("KiB", 10))


def _bytes(count: int | None) -> str:
    if count is None:
        return "no limit"
    for name, shift in _UNITS:
        if count >> shift:
            return f"{count / (1 << shift):.4g} {name}"
    return f"{count} bytes"


def _threads(facts: dict[str, Any]) -> list[tuple[str, str]]:
    quota = facts["quota"]
    shown = "none"
    if quota:
        of = f"{quota['quota_us']} us of every {quota['period_us']} us"
        shown = f"{of}: {quota['processors']} ({quota['path']})"
    return [
        ("threads", f"{facts['count']} ({facts['source']})"),
        ("processors", f"{facts['processors']}, {facts['affinity']} in the affinity mask"),
        ("quota", shown),
    ]


def _tuning(facts: dict[str, Any]) -> str:
    if facts["source"] == "shipped":
        found = facts["shipped_for"]
        machine = f"{found['processor']}, {found['processors']} processors, {found['level']}"
        return f"shipped, measured on {machine}; `python -m corepy tune` measures this machine"
    return f"{facts['source']} ({facts['file'] or 'kept nowhere'})"


def costs(facts: dict[str, Any]) -> str:
    """The costs of `config()["tuning"]`: single numbers, then a row for each class of operations."""
    single = [(name, f"{float(value):.4g}") for name, value in facts["costs"].items()]
    dtypes = list(dict.fromkeys(dtype for row in facts["elements"].values() for dtype in row))
    width = max(map(len, [*facts["costs"], *facts["elements"]]))
    columns = max(map(len, dtypes))
    rows = [
        (name, *(f"{float(row[dtype]):.3g}" if dtype in row else "-" for dtype in dtypes))
        for name, row in facts["elements"].items()
    ]
    return "\n".join(
        [
            *(f"{name:{width}} {value}" for name, value in single),
            "ns an element:",
            *(
                f"{name:{width}} {' '.join(f'{value:>{columns}}' for value in values)}"
                for name, *values in [("", *dtypes), *rows]
            ),
        ]
    )


def _memory(facts: dict[str, Any]) -> list[tuple[str, str]]:
    group = facts["cgroup"]
    left = ", ".join(
        f"{name} {_bytes(facts[key])}"
        for name, key in (
            ("machine", "available_machine"),
            ("cgroup", "available_cgroup"),
            ("address space", "available_address_space"),
        )
    )
    return [
        ("allocator", facts["allocator"]),
        ("pool limit", f"{_bytes(facts['pool_limit'])} ({facts['pool_limit_source']})"),
        ("arena size", f"{_bytes(facts['arena_size'])} a thread ({facts['arena_size_source']})"),
        ("memory", f"{_bytes(facts['limit'])} ({facts['limit_source']})"),
        ("cgroup", f"{_bytes(group['bytes'])} ({group['path']})" if group else "no limit"),
        ("available", f"{_bytes(facts['available'])} ({left})"),
    ]


def _build(facts: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("commit", facts["commit"] or "not recorded"),
        ("target", facts["target"]),
        ("profile", facts["profile"]),
        ("rust", facts["rust"]),
        ("compiler", facts["compiler"]),
        *((level, flags) for level, flags in facts["flags"].items()),
    ]


def text(facts: dict[str, Any]) -> str:
    """What `corepy.config` gives, one fact a line."""
    simd = facts["simd"]
    sections = {
        f"corepy {facts['version']}": [
            ("level", f"{simd['level']} ({simd['source']})"),
            ("levels", ", ".join(simd["levels"])),
            *_threads(facts["threads"]),
            ("log", facts["log"]),
            ("tuning", _tuning(facts["tuning"])),
        ],
        "memory": _memory(facts["memory"]),
        "build": _build(facts["build"]),
        "dependencies": list(facts["dependencies"].items()),
    }
    width = max(len(name) for lines in sections.values() for name, _ in lines)
    return "\n".join(
        line
        for title, lines in sections.items()
        for line in (title, *(f"  {name:{width}}  {value}" for name, value in lines))
    )


def show() -> None:
    """Prints the configuration; `corepy.show_config` calls it."""
    print(text(corepy.config()))
