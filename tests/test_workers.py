"""Tests side by side: what stays together, what comes first, and who says where it hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import children
from tests.workers import group, order

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


def collected(request: pytest.FixtureRequest, *names: str) -> list[pytest.Item]:
    """Tests that do nothing."""
    return [
        pytest.Function.from_parent(request.node.parent, name=name, callobj=lambda: None)
        for name in names
    ]


def test_what_mounts_nothing_comes_last_in_its_order(
    transport: str, request: pytest.FixtureRequest
) -> None:
    first, second = collected(request, "first", "second")
    items = [first, request.node, second]
    order(items)
    assert items == [request.node, first, second]


def test_a_module_stays_together(request: pytest.FixtureRequest) -> None:
    items = collected(request, "one", "other")
    group(items)
    marks = [mark.args for item in items for mark in item.iter_markers("xdist_group")]
    assert marks == [("tests.test_workers-",)] * 2


def test_by_each_transport(transport: str, request: pytest.FixtureRequest) -> None:
    assert request.node.get_closest_marker("xdist_group").args == (
        f"tests.test_workers-{transport}",
    )


def test_what_has_a_group_keeps_it(request: pytest.FixtureRequest) -> None:
    [item] = collected(request, "one")
    item.add_marker(pytest.mark.xdist_group("of its own"))
    group([item])
    assert [mark.args for mark in item.iter_markers("xdist_group")] == [("of its own",)]
