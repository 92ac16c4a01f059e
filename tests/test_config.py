"""config, show_config and the command line: what they say is what holds."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import corepy as cp

ROOT = Path(__file__).resolve().parent.parent

KEYS = {
    "": ["version", "simd", "threads", "memory", "tuning", "log", "build", "dependencies"],
    "simd": ["level", "source", "levels"],
    "threads": ["count", "source", "quota", "affinity", "processors"],
    "memory": [
        "allocator",
        "pool_limit",
        "pool_limit_source",
        "arena_size",
        "arena_size_source",
        "limit",
        "limit_source",
        "physical",
        "cgroup",
        "available",
        "available_machine",
        "available_cgroup",
        "available_address_space",
    ],
    "tuning": ["source", "file", "shipped_for", "costs", "elements"],
    "build": ["commit", "target", "profile", "rust", "compiler", "flags"],
}


def call(*arguments: str, before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    names = {k: v for k, v in os.environ.items() if not k.startswith("COREPY_")}
    command = [sys.executable, *arguments]
    if before:
        command = ["sh", "-c", f'{before}; exec "$@"', "sh", *command]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=names | environment)


def config(code: str = "", before: str = "", **environment: str) -> dict[str, Any]:
    body = f"import json, os\n{code}\nimport corepy as cp\nprint(json.dumps(cp.config()))"
    done = call("-c", body, before=before, **environment)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(type(k) is str and plain(v) for k, v in value.items())
    if isinstance(value, list):
        return all(map(plain, value))
    return value is None or type(value) in (str, int)


def test_keys_and_plain_values() -> None:
    found = cp.config()
    assert plain(found)
    assert json.loads(json.dumps(found)) == found
    for section, keys in KEYS.items():
        assert list(found[section] if section else found) == keys
    page = (ROOT / "docs/observing.md").read_text()
    for section, keys in KEYS.items():
        missing = [key for key in keys if f"`{key}`" not in page]
        assert not missing, (section, missing)
    found["version"] = "changed"
    assert cp.config()["version"] == cp.__version__


def test_simd() -> None:
    assert cp.config()["simd"]["level"] == cp.simd_level()
    assert cp.config()["simd"]["levels"] == list(cp.simd_levels())
    assert config()["simd"] == {
        "level": cp.simd_levels()[-1],
        "source": "widest of this machine",
        "levels": list(cp.simd_levels()),
    }
    forced = config(COREPY_SIMD="portable")["simd"]
    assert (forced["level"], forced["source"]) == ("portable", "COREPY_SIMD")


def test_threads_and_where_their_number_comes_from() -> None:
    found = config()["threads"]
    assert found["affinity"] == len(os.sched_getaffinity(0))
    assert found["processors"] == os.cpu_count()
    if found["quota"] is None:
        assert found["count"] == found["affinity"]
        assert found["source"] == ("affinity" if found["affinity"] < found["processors"] else "processors")
    found = config(COREPY_NUM_THREADS="3")["threads"]
    assert (found["count"], found["source"]) == (3, "COREPY_NUM_THREADS")
    first = min(os.sched_getaffinity(0))
    found = config(f"os.sched_setaffinity(0, [{first}])")["threads"]
    assert (found["count"], found["affinity"]) == (1, 1)
    if (os.cpu_count() or 1) > 1:
        assert found["source"] in ("affinity", "cgroup quota")


def test_threads_that_the_program_sets() -> None:
    before = cp.get_num_threads()
    try:
        cp.set_num_threads(before + 5)
        found = cp.config()["threads"]
        assert (found["count"], found["source"]) == (before + 5, "set_num_threads")
        with cp.threads(7):
            found = cp.config()["threads"]
            assert (found["count"], found["source"]) == (7, "with threads(n)")
        assert cp.config()["threads"]["count"] == before + 5
    finally:
        cp.set_num_threads(before)


def test_memory() -> None:
    found = config()["memory"]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert found["physical"] == pages
    assert found["allocator"] == "pool"
    assert config("import corepy\ncorepy.set_allocator('system')")["memory"]["allocator"] == "system"
    assert found["limit"] <= pages
    assert found["limit_source"] == ("physical memory" if found["limit"] == pages else "cgroup")
    assert found["pool_limit"] == min(found["limit"] // 8, 1 << 30)
    assert "an eighth" in found["pool_limit_source"]
    assert (found["arena_size"], found["arena_size_source"]) == (1 << 20, "default")
    parts = ("available_machine", "available_cgroup", "available_address_space")
    assert found["available"] <= min(found[key] for key in parts if found[key] is not None) + (1 << 30)
    unlimited = resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
    assert (found["available_address_space"] is None) == unlimited
    found = config(COREPY_POOL_LIMIT="64M", COREPY_ARENA_SIZE="128K")["memory"]
    assert (found["pool_limit"], found["pool_limit_source"]) == (64 << 20, "COREPY_POOL_LIMIT")
    assert (found["arena_size"], found["arena_size_source"]) == (128 << 10, "COREPY_ARENA_SIZE")


def test_a_limit_of_the_address_space_shows() -> None:
    found = config(before="ulimit -v 4000000")["memory"]
    assert 0 < found["available_address_space"] < 4_000_000 * 1024
    assert found["available"] <= 4_000_000 * 1024


def test_log() -> None:
    assert config()["log"] == "off"
    assert config(COREPY_LOG="debug")["log"] == "debug"


def test_build_and_dependencies() -> None:
    found = cp.config()
    build = found["build"]
    assert build["rust"].startswith("rustc 1.")
    assert set(cp.simd_levels()) <= set(build["flags"])
    for flags in build["flags"].values():
        assert "-ffp-contract=off" in flags and "-fno-exceptions" in flags
        # No folder of the machine that built it, so that two builds are the same.
        assert "/" not in flags
    if "x86-64-v3" in build["flags"]:
        assert "-march=x86-64-v3" in build["flags"]["x86-64-v3"].split()
    lock = (ROOT / "Cargo.lock").read_text()
    assert {"half", "libc", "pyo3"} <= set(found["dependencies"])
    for name, version in found["dependencies"].items():
        assert f'name = "{name}"\nversion = "{version}"\n' in lock
    assert "corepy-runtime" not in found["dependencies"]


def test_show_config_prints_every_fact(capsys: pytest.CaptureFixture[str]) -> None:
    cp.show_config()
    shown = capsys.readouterr().out
    found = cp.config()
    for fact in (
        found["version"],
        *found["simd"]["levels"],
        found["threads"]["source"],
        found["memory"]["pool_limit_source"],
        found["build"]["compiler"],
        found["build"]["target"],
        *found["build"]["flags"].values(),
        *found["dependencies"].values(),
    ):
        assert fact in shown, fact


def test_text_of_quotas_and_limits() -> None:
    from corepy._configuration import text

    found = cp.config()
    found["threads"]["quota"] = {
        "processors": 2,
        "quota_us": 150000,
        "period_us": 100000,
        "path": "/sys/fs/cgroup/a",
    }
    found["memory"]["cgroup"] = {"bytes": 3 << 29, "path": "/sys/fs/cgroup/a"}
    found["memory"]["pool_limit"] = 0
    found["build"]["commit"] = "abc"
    shown = text(found)
    assert "150000 us of every 100000 us: 2 (/sys/fs/cgroup/a)" in shown
    assert "1.5 GiB (/sys/fs/cgroup/a)" in shown
    assert "0 bytes" in shown
    assert "commit" in shown and "abc" in shown


def test_command_info() -> None:
    done = call("-m", "corepy", "info")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"corepy {cp.__version__}\n")
    done = call("-m", "corepy", "info", "--json", COREPY_NUM_THREADS="2")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["threads"]["source"] == "COREPY_NUM_THREADS"
    assert call("-m", "corepy", "--version").stdout == f"corepy {cp.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "what corepy found on this machine"),
        (["frobnicate"], "invalid choice: 'frobnicate' (choose from"),
        (["info", "--yaml"], "unrecognized arguments: --yaml"),
    ],
)
def test_wrong_commands_say_what_is_right(arguments: list[str], message: str) -> None:
    done = call("-m", "corepy", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: python -m corepy")
    assert message in done.stderr and "Traceback" not in done.stderr


def test_a_reader_that_leaves_early_sees_no_traceback() -> None:
    names = {k: v for k, v in os.environ.items() if not k.startswith("COREPY_")}
    command = f"{sys.executable} -m corepy info | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, env=names)
    assert done.stderr == ""


def test_main_can_be_called(capsys: pytest.CaptureFixture[str]) -> None:
    from corepy.__main__ import COMMANDS, main

    assert main(["info"]) == 0
    assert capsys.readouterr().out.startswith("corepy ")
    assert main(["info", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == KEYS[""]
    with pytest.raises(SystemExit) as exit_code:
        main(["--help"])
    assert exit_code.value.code == 0
    shown = capsys.readouterr().out
    assert all(name in shown and command.help in shown for name, command in COMMANDS.items())
