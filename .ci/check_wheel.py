"""Checks of the built wheel: one for all Python versions, small, complete, without a dependency."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MOST_BYTES = 10_000_000
CONTENTS = (
    "corepy/__init__.py",
    "corepy/__main__.py",
    "corepy/_native.abi3.so",
    "corepy/_native.pyi",
    "corepy/_configuration.py",
    "corepy/_threadpoolctl.py",
    "corepy/errors.py",
    "corepy/py.typed",
)


def faults(name: str, size: int, members: set[str], metadata: str) -> list[str]:
    """What is wrong with a wheel of this name, size, list of files and metadata."""
    found = []
    if "-cp311-abi3-" not in name:
        found.append(f"{name} is not for CPython 3.11 and all later ones")
    if size >= MOST_BYTES:
        found.append(f"{size} bytes; below {MOST_BYTES} is the promise")
    found += [f"{member} is missing" for member in CONTENTS if member not in members]
    if not any(member.endswith(".dist-info/licenses/LICENSE") for member in members):
        found.append("the licence is missing")
    foreign = sorted(m for m in members if not m.startswith("corepy/") and ".dist-info/" not in m)
    found += [f"{member} does not belong there" for member in foreign]
    if "Requires-Python: >=3.11" not in metadata:
        found.append("Requires-Python: >=3.11 is missing")
    found += [line for line in metadata.splitlines() if line.startswith("Requires-Dist")]
    return found


def self_test() -> None:
    """A wheel with everything wrong must have every fault."""
    metadata = "Name: corepy\nRequires-Dist: numpy\n"
    found = faults("corepy-0.1.0-cp312-cp312-linux_x86_64.whl", MOST_BYTES, {"other.py"}, metadata)
    if len(found) != len(CONTENTS) + 6:
        raise SystemExit(f"self-test: {found}")


def main() -> int:
    self_test()
    wheels = list((ROOT / "dist").glob("corepy-*.whl"))
    if len(wheels) != 1:
        raise SystemExit(f"dist holds {len(wheels)} wheels of corepy, expected one")
    [path] = wheels
    with zipfile.ZipFile(path) as wheel:
        members = set(wheel.namelist())
        [metadata] = [name for name in members if name.endswith(".dist-info/METADATA")]
        text = wheel.read(metadata).decode()
    size = path.stat().st_size
    found = faults(path.name, size, members, text)
    print(*found, f"{path.name}: {size / 1e6:.2f} MB, {len(found)} faults", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
