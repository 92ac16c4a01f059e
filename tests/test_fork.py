"""fork, multiprocessing and the end of the process, with threads at work."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

RUNS = int(os.environ.get("COREPY_TEST_RUNS", "5"))

PRELUDE = """
    import os, signal, sys, threading, time, warnings
    import corepy as cp
    warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads, which is what is tested
    cp.set_num_threads(3)

    def work():
        # Large enough for workers, products for the arena, and a sum that everyone knows.
        x = cp.ones(2**20)
        assert cp.sum(x * 2.0).item() == 2**21
        m = cp.ones((300, 300))
        assert (m @ m)[7, 9].item() == 300.0

    def check(child):
        pid, status = os.waitpid(child, 0)
        assert status == 0, f"the child ended with {status:#x}"

    def in_child(f):
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            try:
                f()
            except BaseException as error:
                print(repr(error), file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        return child
"""

# Each is run in a process of its own, as often as RUNS says.
SCRIPTS = {
    "fork after use": """
        work()
        child = in_child(work)
        work()
        check(child)
        work()
        print("done")
    """,
    "fork before use": """
        child = in_child(work)
        work()
        check(child)
        print("done")
    """,
    "a child of a child": """
        work()
        def twice():
            work()
            check(in_child(work))
            work()
        check(in_child(twice))
        work()
        print("done")
    """,
    "fork while others compute": """
        stop = False
        def compute():
            while not stop:
                work()
        others = [threading.Thread(target=compute) for _ in range(3)]
        for other in others: other.start()
        children = [in_child(work) for _ in range(8)]
        work()
        for child in children: check(child)
        stop = True
        for other in others: other.join()
        work()
        print("done")
    """,
    "fork in a thread": """
        work()
        def forks():
            for _ in range(3): check(in_child(work))
        others = [threading.Thread(target=forks) for _ in range(3)]
        for other in others: other.start()
        for _ in range(10): work()
        for other in others: other.join()
        print("done")
    """,
    "fork in a signal handler of an operation": """
        children = []
        def handler(*_):
            children.append(in_child(work))
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.06)
        x = cp.ones(2**22)
        while len(children) < 3:
            assert cp.sum(x * 2.0).item() == 2**23
        signal.setitimer(signal.ITIMER_REAL, 0)
        for child in children: check(child)
        work()
        print("done")
    """,
    "the child ends as scripts do": """
        work()
        child = os.fork()
        work()
        if child:
            check(child)
            print("done")
    """,
    "daemon threads compute at exit": """
        started = threading.Semaphore(0)
        def compute():
            x, m = cp.ones(2**22), cp.ones((500, 500))
            started.release()
            while True:
                cp.sum(x + 1.0); m @ m; x += 1.0
        for _ in range(4): threading.Thread(target=compute, daemon=True).start()
        for _ in range(4): started.acquire()
        time.sleep(0.02)
        print("done")
    """,
    "daemon threads in an endless operation at exit": """
        started = threading.Semaphore(0)
        def compute():
            started.release()
            cp.sum(cp.broadcast_to(cp.ones(1), (2**45,)))
            os._exit(9)
        for _ in range(3): threading.Thread(target=compute, daemon=True).start()
        for _ in range(3): started.acquire()
        time.sleep(0.02)
        print("done")
    """,
    "daemon threads read sequences at exit": """
        class Row:
            def __len__(self): return 3
            def __getitem__(self, i): return float(i)
        started = threading.Semaphore(0)
        def read():
            rows = [Row()] * 3000
            started.release()
            while True:
                cp.asarray(rows)
                cp.concat([cp.ones(100)] * 3000)
        for _ in range(3): threading.Thread(target=read, daemon=True).start()
        for _ in range(3): started.acquire()
        time.sleep(0.02)
        print("done")
    """,
    "a handler registered earlier computes at exit": """
        # atexit runs the last one first: this one runs before corepy's, the other behind it.
        import atexit
        atexit.register(work)
        def compute():
            x = cp.ones(2**22)
            while True: x += 1.0
        threading.Thread(target=compute, daemon=True).start()
        work()
        print("done")
    """,
    "sys.exit in the main thread with a child": """
        def compute():
            while True: work()
        threading.Thread(target=compute, daemon=True).start()
        child = in_child(work)
        check(child)
        print("done", flush=True)
        sys.exit(0)
    """,
}


def run(script: str, prelude: str = PRELUDE) -> None:
    code = textwrap.dedent(prelude) + textwrap.dedent(script)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=150)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


@pytest.mark.parametrize("name", list(SCRIPTS))
def test_it_neither_hangs_nor_fails(name: str) -> None:
    for _ in range(RUNS):
        run(SCRIPTS[name])


def test_a_handler_behind_corepys_may_still_compute() -> None:
    script = """
        import atexit
        atexit.register(lambda: work())
    """
    for _ in range(RUNS):
        run("print('done')", textwrap.dedent(script) + textwrap.dedent(PRELUDE))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(method: str, tmp_path: Path) -> None:
    # Started from a file, which spawn and forkserver import again.
    script = tmp_path / "script.py"
    code = f"""
import multiprocessing, threading, warnings
import corepy as cp

warnings.simplefilter("ignore", DeprecationWarning)

def work(n):
    cp.set_num_threads(2)
    x = cp.ones(2**20)
    m = cp.ones((300, 300))
    return n + cp.sum(x * 2.0).item() - 2**21 + (m @ m)[1, 1].item(), x[:n]

if __name__ == "__main__":
    assert work(1)[0] == 301.0
    stop = threading.Event()
    def compute():
        while not stop.is_set():
            work(1)
    other = threading.Thread(target=compute)
    other.start()
    with multiprocessing.get_context("{method}").Pool(2) as pool:
        results = pool.map(work, range(6))
        assert [value for value, _ in results] == [300.0 + n for n in range(6)]
        assert [tensor.tolist() for _, tensor in results] == [[1.0] * n for n in range(6)]
        assert work(1)[0] == 301.0
    stop.set()
    other.join()
    print("done")
"""
    script.write_text(code)
    for _ in range(RUNS):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", script], capture_output=True, text=True, timeout=150
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
