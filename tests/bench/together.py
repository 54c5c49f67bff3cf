"""What two machines on one share get, and what does not travel: locks, copies, quick ends.

    python -m tests.bench.together [--transactions 1000] [--mib 1024] [--quick]

On a private Samba of this machine, by the native transport; the look-ups side by side are measured
by both.  Every result is checked: databases by themselves, copies byte by byte.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests import database
from tests.bench import work
from tests.bench.figures import Figures
from tests.bench.machine import about
from tests.line import Line
from tests.mounted import MountedShare
from tests.processes import BARE_PYTHON
from tests.samba import Samba
from tests.transports import MATRIX, TRANSPORTS

LIMIT_S = 900.0
DELAY_S = 0.05  # of the server, to there and back
STATS = 20
WAITERS = {  # what a program does that then waits for the server
    "ls": "os.execvp('ls', ['ls', path + '/nowhere'])",
    "stat": "os.stat(path + '/nowhere')",
    "read": "os.pread(fd, 4096, 0)",
    "unlink": "os.unlink(path + '/gone')",
    "close": "os.pwrite(fd, b'y' * 8192, 1 << 20)",
    "lock": "fcntl.lockf(fd, fcntl.LOCK_EX)",
}
WAITER = """
import fcntl, os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
path = sys.argv[1]
fd = os.open(path + "/file", os.O_RDWR | os.O_CREAT)
os.path.exists(path + "/gone")
print("ready", flush=True)
sys.stdin.readline()
{doing}
sys.stdin.readline()
"""


@contextlib.contextmanager
def mounted(server: Samba, *options: str) -> Iterator[MountedShare]:
    """The share, for as long as it takes."""
    with MountedShare(server, "share", *options, limit_s=LIMIT_S) as share:
        yield share


def databases(server: Samba, figures: Figures, count: int) -> None:
    """Let two machines write to one database; raises RuntimeError if it is not what it must be."""
    for mode in ("delete", "truncate", "persist"):
        with mounted(server) as one, mounted(server) as two:
            paths = one.path / f"{mode}.db", two.path / f"{mode}.db"
            database.make(paths[0])
            seconds = work.timed(partial(database.write, paths, count, mode, LIMIT_S))
            database.check(paths[1], count)
            name = f"sqlite3, journal_mode={mode}: 2 x {count} transactions by two mounts"
            figures.add(name, "s", seconds)


def copies(server: Samba, figures: Figures, mib: int) -> None:
    """Copy a large file within the share, reserve room, copy a sparse file; count the bytes."""
    with Line(server.port) as line, mounted(server, f"port={line.port}") as share:
        work.write(server["share"].path / "from", mib, sync=True)
        before = line.passed
        command = ["cp", "--reflink=auto", f"{share.path}/from", f"{share.path}/to"]
        seconds = work.timed(lambda: subprocess.run(command, check=True))
        figures.add(f"cp of {mib} MiB on the share: bytes on the line", "KiB", _kib(line, before))
        figures.add(f"cp of {mib} MiB on the share: time", "s", seconds)
        if work.digest(server["share"].path / "to") != work.digest_of(mib):
            raise RuntimeError("the copy is wrong")
        fd = os.open(share.path / "room", os.O_CREAT | os.O_RDWR)
        before = line.passed
        os.posix_fallocate(fd, 0, 64 * work.MIB)
        figures.add("posix_fallocate of 64 MiB: bytes on the line", "KiB", _kib(line, before))
        os.ftruncate(fd, 256 * work.MIB)
        os.pwrite(fd, b"data", 128 * work.MIB)
        os.close(fd)
        before = line.passed
        command = ["cp", "--sparse=auto", f"{share.path}/room", f"{share.path}/copy"]
        subprocess.run(command, check=True)
        figures.add("cp of a sparse file of 256 MiB: bytes on the line", "KiB", _kib(line, before))
        blocks = (server["share"].path / "copy").stat().st_blocks
        figures.add("its copy takes on the server's disk", "KiB", blocks / 2)


def _kib(line: Line, before: int) -> float:
    return (line.passed - before) / 1024


def ends(server: Samba, figures: Figures) -> None:
    """Kill programs that wait for a server which does not answer; how long until they are gone."""
    share = server["share"].path
    for number in (signal.SIGKILL, signal.SIGINT):
        # A folder for each: while one waits to change it, the kernel lets nobody else look in.
        for name in WAITERS:
            (share / name).mkdir(exist_ok=True)
            (share / name / "file").write_bytes(b"x" * 65536)
            (share / name / "gone").touch()
        with mounted(server, "actimeo=60") as one:
            waiters = {name: _waiter(one.path / name, doing) for name, doing in WAITERS.items()}
            server.freeze()
            for waiter in waiters.values():
                _begin(waiter)
            time.sleep(1)
            for name, waiter in waiters.items():
                begun = time.perf_counter()
                if waiter.poll() is not None:
                    raise RuntimeError(f"{name} did not wait")
                waiter.send_signal(number)
                waiter.wait(60)
                took_ms = (time.perf_counter() - begun) * 1000
                figures.add(f"{number.name} of a program in {name}", "ms", took_ms)
            server.thaw()


def _waiter(path: Path, doing: str) -> subprocess.Popen[bytes]:
    code, pipe = WAITER.format(doing=doing), subprocess.PIPE
    command = [*BARE_PYTHON, code, str(path)]
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def _begin(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.flush()


def handing_over(server: Samba, figures: Figures) -> None:
    """Let one machine wait for a lock that another lets go, both far from the server."""
    code = "import fcntl, sys, time; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); "
    code += "print(time.monotonic())"
    with (
        Line(server.port, delay_s=DELAY_S / 2) as line,
        mounted(server, f"port={line.port}") as one,
        mounted(server, f"port={line.port}") as two,
        (one.path / "locked").open("w") as file,
    ):
        for _ in range(5):
            fcntl.lockf(file, fcntl.LOCK_EX)
            command = [*BARE_PYTHON, code, str(two.path / "locked")]
            with subprocess.Popen(command, stdout=subprocess.PIPE) as waiter:
                time.sleep(1)
                let_go = time.monotonic()
                fcntl.lockf(file, fcntl.LOCK_UN)
                assert waiter.stdout is not None
                took_ms = (float(waiter.stdout.read()) - let_go) * 1000
            figures.add("a lock handed over, server 50 ms away", "ms", took_ms)


def side_by_side(server: Samba, figures: Figures) -> None:
    """Stat so many names of one folder at once, on a server that is far away."""
    place = server["share"].path / "names"
    place.mkdir()
    work.create_small(place, STATS)
    for transport in TRANSPORTS:
        with (
            MATRIX.by(transport),
            Line(server.port, delay_s=DELAY_S / 2) as line,
            mounted(server, f"port={line.port}") as share,
        ):
            os.stat(share.path / place.name)
            threads = [
                threading.Thread(target=os.stat, args=[share.path / place.name / name])
                for name in work.names(STATS)
            ]

            def run(threads: list[threading.Thread] = threads) -> None:
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()

            took_ms = work.timed(run) * 1000
            figures.add(f"{STATS} stats in one folder at once, {transport}", "ms", took_ms)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.together")
    parser.add_argument("--transactions", type=int, default=1000)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--quick", action="store_true", help="small numbers: does it work at all?")
    chosen = parser.parse_args()
    count, mib = (20, 32) if chosen.quick else (chosen.transactions, chosen.mib)
    figures, load = Figures(), os.getloadavg()
    with Samba() as server, MATRIX.by("native"):
        copies(server, figures, mib)
        ends(server, figures)
        databases(server, figures, count)
        handing_over(server, figures)
        side_by_side(server, figures)
    facts = about() | {"load before and after": f"{load[0]:.1f} and {os.getloadavg()[0]:.1f}"}
    head = "\n".join(f"{name}: {value}" for name, value in facts.items())
    sys.stdout.write(f"{head}\n\n{figures.table()}\n\n{figures.json(**facts)}\n")


if __name__ == "__main__":
    main()
