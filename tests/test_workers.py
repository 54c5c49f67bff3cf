"""Tests side by side: what stays together, what comes first, and who says where it hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import children
from tests.transports import TRANSPORTS
from tests.workers import ALONE, LONG, rank, scope_of

ROOT = Path(__file__).parent.parent

# Stands for the run: a process without tests, and the worker that it started, which hangs.
RUN = """
import subprocess, sys, time
from tests.workers import Stacks

def hang_in_a_test():
    print("ready", flush=True)
    time.sleep(60)

def wait_for_the_worker():
    subprocess.run([sys.executable, "-c", sys.argv[1]])

stacks = Stacks(has_workers=len(sys.argv) > 1)
wait_for_the_worker() if len(sys.argv) > 1 else hang_in_a_test()
"""


def test_who_hangs_says_where_and_so_do_the_workers() -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", RUN, RUN],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with run:
        assert run.stdout is not None
        assert run.stderr is not None
        assert run.stdout.readline() == "ready\n"
        [worker] = children(run.pid)
        run.send_signal(signal.SIGUSR1)
        said = ""
        while "in hang_in_a_test" not in said:
            line = run.stderr.readline()
            assert line, said
            said += line
        os.kill(worker, signal.SIGKILL)
    assert said.index("in wait_for_the_worker") < said.index(f"The worker {worker}:")


def test_what_mounts_nothing_comes_last_and_what_is_long_before_it() -> None:
    mounts = [f"tests/test_x.py::test[{transport}]" for transport in TRANSPORTS]
    last, long = "tests/test_x.py::test", f"{LONG[0]}::test"
    assert sorted([last, long, *mounts[::-1]], key=rank) == [*mounts, long, last]


@pytest.mark.parametrize("way", TRANSPORTS)
def test_a_module_stays_together_by_transport(way: str) -> None:
    first = scope_of(f"tests/mount/test_x.py::test_a[x-{way}-y]")
    assert first == scope_of(f"tests/mount/test_x.py::test_b[{way}]")
    assert first != scope_of("tests/mount/test_x.py::test_b[other]")
    assert first != scope_of(f"tests/mount/test_y.py::test_b[{way}]")


def test_a_module_that_must_be_alone_stays_together() -> None:
    scopes = {scope_of(f"{ALONE[0]}::test[{one}]") for one in (*TRANSPORTS, "none")}
    assert len(scopes) == 1


@pytest.mark.parametrize("module", [*LONG, *ALONE])
def test_a_module_that_is_named_is_there(module: str) -> None:
    assert (ROOT / module).is_file()
