"""Much at once on a private Samba of this machine: a huge folder, many readers, small records.

    python -m tests.bench.heavy [--entries 1000000] [--seconds 5] [--quick] [--transport auto]

The folder is made on the server's disk.  Memory is what the mount's daemon needs more while it
lists the folder; ``ls -f`` asks for names only, ``ls -l`` for everything.  Records are read by fio,
past the kernel's cache, one at a time and 32 at a time.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench import work
from tests.bench.figures import Figures
from tests.bench.machine import about, cost, resident_mib
from tests.mounted import MountedShare
from tests.samba import Samba

LIMIT_S = 1800.0  # for one measurement
READERS = 64
FILES, OPERATIONS = (
    500,
    9,
)  # in each turn; create, write, close, open, read, close, stat, unlink, list
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    entries: int
    seconds: int  # of random reads
    reader_mib: int = 16  # that each of the readers reads
    record_mib: int = 256  # the file of records
    turns: int = 40  # of making, listing, reading and removing files


@dataclass(slots=True)
class Bench:
    """One server, what is measured on it, and what was."""

    server: Samba
    size: Size
    figures: Figures
    transport: str

    @property
    def behind(self) -> Path:
        """The share on the server's disk."""
        return self.server["share"].path

    @contextlib.contextmanager
    def mounted(self) -> Iterator[MountedShare]:
        """Mount with default options, and nothing known."""
        how = f"transport={self.transport}"
        with MountedShare(self.server, "share", how, limit_s=LIMIT_S) as share:
            yield share

    def huge(self) -> None:
        """List a huge folder, by name and with everything."""
        folder, count = self.behind / "huge", self.size.entries
        folder.mkdir()
        for number in range(count):
            os.close(os.open(folder / f"entry-{number:08}", os.O_CREAT | os.O_WRONLY, 0o644))
        for command in ("ls -f", "ls -l"):
            self._list(command, count)
        subprocess.run(["rm", "-rf", str(folder)], check=True)

    def _list(self, command: str, count: int) -> None:
        with self.mounted() as share:
            before = cost(share.pid)
            seconds = work.timed(lambda: _lines(command, share.path / "huge", count))
            after = cost(share.pid)
        name = f"{command} of {count:,} files"
        self.figures.add(name, "s", seconds)
        self.figures.add(f"{name}: peak RSS", "MiB", after.peak_mib)
        self.figures.add(f"{name}: RSS grown by", "MiB", after.peak_mib - before.peak_mib)

    def readers(self) -> None:
        """Read many files at once, each by a thread of its own."""
        size = self.size.reader_mib
        for number in range(READERS):
            work.write(self.behind / f"part-{number}", size, sync=False)
        with self.mounted() as share:
            paths = [share.path / f"part-{number}" for number in range(READERS)]
            seconds = work.timed(lambda: _all_at_once(paths))
            peak_mib = cost(share.pid).peak_mib
        self.figures.add(f"{READERS} readers", "MB/s", READERS * size * MIB / 1e6 / seconds)
        self.figures.add(f"{READERS} readers: peak RSS", "MiB", peak_mib)

    def records(self) -> None:
        """Read small records at random places."""
        work.write(self.behind / "records", self.size.record_mib, sync=False)
        for depth in (1, 32):
            with self.mounted() as share:
                rate, middle_us = self._fio(share.path / "records", depth)
            self.figures.add(f"random reads of 4 KiB, {depth} at a time", "1/s", rate)
            self.figures.add(f"random reads of 4 KiB, {depth} at a time: median", "us", middle_us)

    def lasting(self) -> None:
        """Do what people do in an hour, and see whether the daemon grows by it."""
        folder, resident = self.behind / "lasting", []
        folder.mkdir()
        with self.mounted() as share:
            for _ in range(self.size.turns):
                there = share.path / folder.name
                work.create_small(there, FILES)
                work.list_long(there)
                work.read_small(there, FILES)
                work.stat_all(there, FILES)
                work.unlink_all(there, FILES)
                resident.append(resident_mib(share.pid))
        name = f"RSS after {FILES * OPERATIONS:,} operations"
        self.figures.add(name, "MiB", resident[0])
        name = f"RSS after {FILES * OPERATIONS * self.size.turns:,} operations"
        self.figures.add(name, "MiB", resident[-1])
        folder.rmdir()

    def _fio(self, path: Path, depth: int) -> tuple[float, float]:
        """Reads a second, and how long the median one took."""
        words = [f"--filename={path}", "--rw=randread", "--bs=4k", "--direct=1", "--time_based"]
        words += [f"--size={self.size.record_mib}m", f"--runtime={self.size.seconds}"]
        words += ["--ioengine=libaio", f"--iodepth={depth}", "--output-format=json"]
        command = ["fio", "--name=records", *words]
        done = subprocess.run(command, capture_output=True, check=True, cwd="/")
        [job] = json.loads(done.stdout)["jobs"]
        return job["read"]["iops"], job["read"]["clat_ns"]["percentile"]["50.000000"] / 1000


def _lines(command: str, folder: Path, count: int) -> None:
    """Run a command whose lines are counted."""
    done = subprocess.run(
        f"{command} {folder} | wc -l", shell=True, capture_output=True, check=True, cwd="/"
    )
    lines = int(done.stdout)
    if not count <= lines <= count + 2:
        raise RuntimeError(f"{command} found {lines} of {count}")


def _all_at_once(paths: list[Path]) -> None:
    threads = [threading.Thread(target=work.read, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.heavy")
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small sizes: does it work at all?")
    parser.add_argument("--transport", default="auto")
    chosen = parser.parse_args()
    size = Size(2000, 1, 1, 8, 2) if chosen.quick else Size(chosen.entries, chosen.seconds)
    load = os.getloadavg()
    with Samba() as server:
        bench = Bench(server, size, Figures(), chosen.transport)
        for measure in (bench.readers, bench.records, bench.lasting, bench.huge):
            sys.stderr.write(f"{measure.__name__}\n")
            measure()
    facts = about() | {"load before and after": f"{load[0]:.1f} and {os.getloadavg()[0]:.1f}"}
    head = "\n".join(f"{name}: {value}" for name, value in facts.items())
    line = bench.figures.json(**facts)
    sys.stdout.write(f"{head}\n\n{bench.figures.table()}\n\n{line}\n")


if __name__ == "__main__":
    main()
