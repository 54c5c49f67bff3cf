"""How fast a mount is on a private Samba of this machine, beside smbclient and the bare disk.

    python -m tests.bench.loopback [--rounds 5] [--quick] [--transport auto]

Every round mounts anew before each measurement, with the options that a user gets by default (or
by another transport), so that neither the kernel nor the daemon knows anything; the server has
the file in memory.  All measurements take turns within a round, so that a slow minute of the
machine slows all of them.  The last round checks every byte.  At the end come a table and one
line of JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench import work
from tests.bench.figures import Figures
from tests.bench.machine import about, cost
from tests.mounted import MountedShare
from tests.samba import Samba

LIMIT_S = 600.0  # for one measurement; then the mount is taken away
SPEED = re.compile(r"\(([\d.]+) (?:KiloBytes/sec|kb/s)\) \(average")


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    mib: int = 1024  # of the large file
    listed: int = 5000
    small: int = 1000


QUICK = Size(mib=64, listed=500, small=100)


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

    @property
    def rate(self) -> float:
        """Megabytes of the large file."""
        return self.size.mib * work.MIB / 1e6

    def prepare(self) -> None:
        """Make what is read, on the server's disk."""
        work.write(self.behind / "large", self.size.mib, sync=True)
        (self.behind / "listed").mkdir()
        work.create_small(self.behind / "listed", self.size.listed)

    @contextlib.contextmanager
    def mounted(self, *options: str) -> Iterator[MountedShare]:
        """Mount with default options but these, and nothing known."""
        options = (f"transport={self.transport}", *options)
        with MountedShare(self.server, "share", *options, limit_s=LIMIT_S) as share:
            yield share

    # One measurement each

    def disk(self) -> None:
        """Write the large file to the bare disk: context, not a claim of ours."""
        path = self.behind / "raw"
        for sync in (False, True):
            seconds = work.timed(partial(work.write, path, self.size.mib, sync=sync))
            name = "bare disk: write" + ", fsync" * sync
            self.figures.add(name, "MB/s", self.rate / seconds)
            path.unlink()

    def read(self, *, check: bool) -> None:
        """Read the large file through a fresh mount."""
        with self.mounted() as share:
            before = cost(share.pid)
            seconds = work.timed(lambda: work.read(share.path / "large"))
            after = cost(share.pid)
            self.figures.add("read 1 file", "MB/s", self.rate / seconds)
            self._costs("read", before.cpu_s, after.cpu_s, after.peak_mib)
        if check:
            with self.mounted() as share:
                self._check(share.path / "large")

    def sealed(self, *, check: bool) -> None:
        """Read and write the large file encrypted, beside the same signed."""
        path = self.behind / "sealed"
        for manner in ("signed", "sealed"):
            options = ["seal"] if manner == "sealed" else []
            with self.mounted(*options) as share:
                seconds = work.timed(partial(work.read, share.path / "large"))
                self.figures.add(f"read 1 file, {manner}", "MB/s", self.rate / seconds)
            with self.mounted(*options) as share:
                target = share.path / path.name
                seconds = work.timed(partial(work.write, target, self.size.mib, sync=False))
                self.figures.add(f"write 1 file, {manner}", "MB/s", self.rate / seconds)
            if check:
                self._check(path)
            path.unlink()

    def write(self, *, sync: bool, check: bool) -> None:
        """Write the large file through a fresh mount."""
        path = self.behind / "written"
        with self.mounted() as share:
            before = cost(share.pid)
            target = share.path / path.name
            seconds = work.timed(lambda: work.write(target, self.size.mib, sync=sync))
            after = cost(share.pid)
            name = "write 1 file" + (", fsync, close" if sync else ", close")
            self.figures.add(name, "MB/s", self.rate / seconds)
            if not sync:
                self._costs("write", before.cpu_s, after.cpu_s, after.peak_mib)
        if check:
            self._check(path)
        path.unlink()

    def smbclient(self, *, check: bool) -> None:
        """Get and put the same file with Samba's own client; the speed is what it says itself.

        By default it signs nothing, as we always do, and what it gets goes nowhere.
        """
        got = self.server.directory / "got"
        commands = {"get": "get large /dev/null", "put": f"put {self.behind / 'large'} written"}
        manners = {"": [], ", signed": ["--client-protection=sign"]}
        for name, command in commands.items():
            for manner, options in manners.items():
                speed = SPEED.search(self.server.client("share", command, *options))
                assert speed is not None
                rate = float(speed[1]) * 1024 / 1e6
                self.figures.add(f"smbclient {name}{manner}", "MB/s", rate)
        if check:
            self.server.client("share", f"get written {got}")
            self._check(got)
            got.unlink()
        (self.behind / "written").unlink()

    def listing(self) -> None:
        """List many files with their attributes."""
        with self.mounted() as share:
            seconds = work.timed(lambda: work.list_long(share.path / "listed"))
            self.figures.add(f"ls -l of {self.size.listed} files", "s", seconds)

    def stat(self) -> None:
        """Ask for the attributes of files that nobody listed."""
        with self.mounted() as share:
            count = self.size.small
            seconds = work.timed(lambda: work.stat_all(share.path / "listed", count))
            self.figures.add("stat, cold", "1/s", count / seconds)

    def small(self, *, check: bool) -> None:
        """Create many small files, read them, remove them, each by a fresh mount."""
        count, place = self.size.small, self.behind / "small"
        place.mkdir()
        with self.mounted() as share:
            seconds = work.timed(lambda: work.create_small(share.path / place.name, count))
            self.figures.add(f"{count} x (create, write 4 KiB, close)", "s", seconds)
        if check and any(len((place / name).read_bytes()) != 4096 for name in work.names(count)):
            raise RuntimeError("a small file is wrong")
        with self.mounted() as share:
            seconds = work.timed(lambda: work.read_small(share.path / place.name, count))
            self.figures.add("open, read 4 KiB, close", "1/s", count / seconds)
        with self.mounted() as share:
            seconds = work.timed(lambda: work.unlink_all(share.path / place.name, count))
            self.figures.add(f"unlink {count} files", "s", seconds)
        place.rmdir()

    def _costs(self, verb: str, before_s: float, after_s: float, peak_mib: float) -> None:
        gib = self.size.mib / 1024
        self.figures.add(f"daemon CPU, {verb}", "s/GiB", (after_s - before_s) / gib)
        self.figures.add(f"daemon peak RSS, {verb}", "MiB", peak_mib)

    def _check(self, path: Path) -> None:
        if work.digest(path) != work.digest_of(self.size.mib):
            raise RuntimeError(f"{path.name} holds wrong bytes")

    def round(self, *, is_last: bool) -> None:
        """Everything once."""
        self.read(check=is_last)
        self.smbclient(check=is_last)
        self.write(sync=False, check=is_last)
        self.disk()
        self.write(sync=True, check=is_last)
        self.sealed(check=is_last)
        self.listing()
        self.stat()
        self.small(check=is_last)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.loopback")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small sizes: does it work at all?")
    parser.add_argument("--transport", default="auto")
    chosen = parser.parse_args()
    size = QUICK if chosen.quick else Size()
    load = os.getloadavg()
    with Samba() as server:
        bench = Bench(server, size, Figures(), chosen.transport)
        bench.prepare()
        for number in range(chosen.rounds):
            sys.stderr.write(f"round {number + 1} of {chosen.rounds}\n")
            bench.round(is_last=number == chosen.rounds - 1)
    what = f"1 file = {size.mib} MiB; every byte was checked in the last round"
    facts = about() | {
        "transport": chosen.transport,
        "load before and after": f"{load[0]:.1f} and {os.getloadavg()[0]:.1f}",
    }
    head = "\n".join(f"{name}: {value}" for name, value in facts.items())
    table = bench.figures.table()
    line = bench.figures.json(**facts, rounds=chosen.rounds, file_mib=size.mib)
    sys.stdout.write(f"{head}\nrounds: {chosen.rounds}, {what}\n\n{table}\n\n{line}\n")


if __name__ == "__main__":
    main()
