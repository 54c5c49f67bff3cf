"""How fast the two kernel servers are, side by side, on a filesystem that is all in memory.

    python -m tests.bench.kernel [--rounds 5]

Each server is a process of its own, on one processor together with the one who asks: a wake-up
across two costs more than what is measured.  Both are measured in turns within a round, and a
ratio is that of one pair of turns, so that a slow minute of the machine slows both sides of it.
Beside the time that passed stands the processor time of asker and server together, which others
on the machine hardly touch.  At the end come a table and one line of JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import mmap
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.bench.figures import Figures
from tests.bench.machine import about, used_ns
from tests.bench.memory import FILE, LISTED, MIB, SLOW
from tests.bench.work import timed

SERVERS = ("native", "pyfuse3")
COLUMNS = ("native", "pyfuse3", "ratio", "native, CPU", "pyfuse3, CPU", "ratio, CPU")
ASKERS = 20  # threads that look at one directory at once
ENDS_S = 10.0  # for a server, once it is unmounted


@dataclass(frozen=True, slots=True)
class Served:
    """One mount of the filesystem, and how to ask it."""

    path: Path
    pid: int
    fresh: Iterator[int] = field(default_factory=count)

    @property
    def file(self) -> Path:
        """The file in it."""
        return self.path / os.fsdecode(FILE)

    @contextlib.contextmanager
    def opened(self, flags: int) -> Iterator[int]:
        """Open the file without the kernel's cache."""
        fd = os.open(self.file, flags | os.O_DIRECT)
        try:
            yield fd
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def listed(self) -> Iterator[int]:
        """Open a large directory that nobody has seen."""
        fd = os.open(self.path / f"listed-{next(self.fresh)}", os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield fd
        finally:
            os.close(fd)


# One measurement each


@dataclass(frozen=True, slots=True)
class Took:
    """What one of many like things took, in microseconds."""

    passed: float
    used: float  # of the processor, by asker and server


def _took(served: Served, times: int, work: Callable[[], object]) -> Took:
    """Do something that is so many things."""
    before_ns = time.process_time_ns() + used_ns(served.pid)
    passed_s = timed(work)
    after_ns = time.process_time_ns() + used_ns(served.pid)
    return Took(passed_s / times * 1e6, (after_ns - before_ns) / times / 1e3)


def _each(served: Served, times: int, ask: Callable[[], object]) -> Took:
    """Ask so often."""

    def ask_so_often() -> None:
        for _ in range(times):
            ask()

    return _took(served, times, ask_so_often)


def fstat(served: Served) -> Took:
    with served.opened(os.O_RDONLY) as fd:
        return _each(served, 3000, lambda: os.fstat(fd))


def stat(served: Served) -> Took:
    path = served.file
    return _each(served, 1500, lambda: os.stat(path))


def _read(served: Served, times: int, size: int) -> Took:
    with served.opened(os.O_RDONLY) as fd, mmap.mmap(-1, size) as memory:
        return _each(served, times, lambda: os.preadv(fd, [memory], 0))


def read_4k(served: Served) -> Took:
    return _read(served, 1500, 4096)


def read_1m(served: Served) -> Took:
    return _read(served, 300, MIB)


def _write(served: Served, times: int, size: int) -> Took:
    with served.opened(os.O_WRONLY) as fd, mmap.mmap(-1, size) as memory:
        return _each(served, times, lambda: os.pwritev(fd, [memory], 0))


def write_4k(served: Served) -> Took:
    return _write(served, 1500, 4096)


def write_1m(served: Served) -> Took:
    return _write(served, 300, MIB)


def list_(served: Served) -> Took:
    with served.listed() as fd, os.scandir(fd) as entries:
        return _took(served, LISTED, lambda: _count(sum(1 for _ in entries)))


def list_and_stat(served: Served) -> Took:
    with served.listed() as fd, os.scandir(fd) as entries:
        sizes = (one.stat(follow_symlinks=False).st_size for one in entries)
        return _took(served, LISTED, lambda: _count(sum(size > 0 for size in sizes)))


def _count(found: int) -> None:
    if found != LISTED:
        raise RuntimeError(f"{found} names were listed instead of {LISTED}")


def stats_at_once(served: Served) -> Took:
    slow = served.path / os.fsdecode(SLOW)
    names = [slow / f"name-{next(served.fresh)}" for _ in range(ASKERS)]
    with ThreadPoolExecutor(ASKERS) as askers:
        return _took(served, 1, lambda: list(askers.map(os.stat, names)))


MEASURED: dict[str, Callable[[Served], Took]] = {
    "fstat": fstat,
    "stat of a path": stat,
    "4 KiB O_DIRECT read": read_4k,
    "4 KiB O_DIRECT write": write_4k,
    "1 MiB O_DIRECT read": read_1m,
    "1 MiB O_DIRECT write": write_1m,
    "an entry of scandir": list_,
    "an entry of scandir + lstat": list_and_stat,
    f"{ASKERS} stats at once, 50 ms each": stats_at_once,
}


# Rounds


@contextlib.contextmanager
def mounted(transport: str, cpu: int) -> Iterator[Served]:
    """Serve in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="smbfs-bench-") as path:
        words = [sys.executable, "-m", "tests.bench.memory", transport, path, str(cpu)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                if process.stdout.readline() != "mounted\n":
                    raise RuntimeError(f"{transport} does not mount")
                yield Served(Path(path), process.pid)
            finally:
                subprocess.run(["fusermount3", "-u", "-z", path], check=False)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(ENDS_S)
                process.kill()


def one_round(served: dict[str, Served], figures: dict[str, Figures], number: int) -> None:
    """Measure everything once with each server; the one that goes first changes by the round."""
    order = SERVERS if number % 2 else SERVERS[::-1]
    for name, measure in MEASURED.items():
        took = {server: measure(served[server]) for server in order}
        for server in SERVERS:
            figures[server].add(name, "µs", took[server].passed)
            figures[f"{server}, CPU"].add(name, "µs", took[server].used)
        native, pyfuse3 = took["native"], took["pyfuse3"]
        figures["ratio"].add(name, "x", pyfuse3.passed / native.passed)
        figures["ratio, CPU"].add(name, "x", pyfuse3.used / native.used)


def table(figures: dict[str, Figures]) -> str:
    """Both servers side by side, in Markdown."""
    rows = [f"| median (least-most) | {' | '.join(COLUMNS)} |", "|---|" + "---|" * len(COLUMNS)]
    for name in MEASURED:
        shown = " | ".join(figures[column][name].shown() for column in COLUMNS)
        rows.append(f"| {name} | {shown} |")
    return "\n".join(rows)


def line(figures: dict[str, Figures], **facts: object) -> str:
    """One line of JSON of all that was measured."""
    whole = Figures()
    for column, measured in figures.items():
        for name in MEASURED:
            figure = measured[name]
            for value in figure.values:
                whole.add(f"{name}, {column}", figure.unit, value)
    return whole.json(**facts)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.kernel")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    load = os.getloadavg()
    figures = {column: Figures() for column in COLUMNS}
    cpu = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, [cpu])
    with contextlib.ExitStack() as stack:
        served = {server: stack.enter_context(mounted(server, cpu)) for server in SERVERS}
        for number in range(rounds):
            sys.stderr.write(f"round {number + 1} of {rounds}\n")
            one_round(served, figures, number)
    facts = about() | {"load before and after": f"{load[0]:.1f} and {os.getloadavg()[0]:.1f}"}
    head = "\n".join(f"{name}: {value}" for name, value in facts.items())
    result = line(figures, **facts, rounds=rounds)
    sys.stdout.write(f"{head}\nrounds: {rounds}\n\n{table(figures)}\n\n{result}\n")


if __name__ == "__main__":
    main()
