"""What the native transport is for, with real programs: databases, copies, sparse files, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import database
from tests.line import Line
from tests.mount.ground import Here, noise, opened
from tests.mounted import MountedShare
from tests.processes import BARE_PYTHON
from tests.samba import Samba

MIB = 1 << 20
TRANSACTIONS = 40  # of each program; `python -m tests.bench.together` does a thousand
LOCKER = """
import fcntl, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
f = open(sys.argv[1], 'r+')
print('about to', flush=True)
fcntl.lockf(f, fcntl.LOCK_EX)
print('got', flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("mode", ["delete", "truncate"])
def test_a_database_that_two_machines_write_to(here: Here, mode: str) -> None:
    paths = here.path / "db", here.other / "db"
    database.make(paths[0])
    database.write(paths, TRANSACTIONS, mode, seconds=90)
    database.check(paths[1], TRANSACTIONS)


COUNTER = """
import fcntl, os, random, sys, time
path, seed, log, kind, seconds = sys.argv[1:]
chance, said = random.Random(int(seed)), open(log, "a", buffering=1)
end = time.time() + float(seconds)
fd = os.open(path, os.O_RDWR)
while time.time() < end:
    slot = chance.randrange(8)
    where = (8, slot * 8) if kind == "lockf" else ()
    getattr(fcntl, kind)(fd, fcntl.LOCK_EX, *where)
    value = int.from_bytes(os.pread(fd, 8, slot * 8), "little") + 1
    said.write(f"begun {slot} {value}\\n")
    os.pwrite(fd, value.to_bytes(8, "little"), slot * 8)
    getattr(fcntl, kind)(fd, fcntl.LOCK_UN, *where)
    said.write(f"done {slot} {value}\\n")
"""
COUNT_S = 3.0


@pytest.mark.parametrize("kind", ["lockf", "flock"])
def test_counters_that_programs_on_two_machines_count_up(
    here: Here, tmp_path: Path, kind: str
) -> None:
    (here.behind / "counters").write_bytes(bytes(64))
    programs = [
        subprocess.Popen(
            [
                *(*BARE_PYTHON, COUNTER, place / "counters", str(number)),
                *(tmp_path / str(number), kind, str(COUNT_S)),
            ]
        )
        for number, place in enumerate([here.path, here.other] * 3)
    ]
    time.sleep(COUNT_S / 2)
    for victim in programs[4:]:  # with a lock in hand, or waiting for one
        victim.kill()
    assert [program.wait(60) for program in programs] == [0] * 4 + [-signal.SIGKILL] * 2
    said = [line.split() for log in tmp_path.iterdir() for line in log.read_text().splitlines()]
    done = [tuple(words[1:]) for words in said if words[0] == "done"]
    assert len(set(done)) == len(done) > 20  # nobody counted what another had counted already
    counters = (here.behind / "counters").read_bytes()
    total = sum(int.from_bytes(counters[at : at + 8], "little") for at in range(0, 64, 8))
    # Who was killed may have written without telling.
    assert len(done) <= total <= sum(words[0] == "begun" for words in said)


@pytest.fixture
def counted(server: Samba) -> Iterator[tuple[MountedShare, Line]]:
    """A mount whose line to the server counts the bytes."""
    with Line(server.port) as line, MountedShare(server, "share", f"port={line.port}") as mounted:
        yield mounted, line


def test_a_copy_does_not_travel(here: Here, counted: tuple[MountedShare, Line]) -> None:
    mounted, line = counted
    place = mounted.path / here.path.name
    (here.behind / "from").write_bytes(noise(MIB) * 48)
    before = line.passed
    subprocess.run(["cp", "--reflink=auto", place / "from", place / "to"], check=True, timeout=60)
    assert line.passed - before < MIB
    subprocess.run(["cmp", here.behind / "from", here.behind / "to"], check=True, timeout=60)


def test_reserving_room_does_not_travel_either(
    here: Here, counted: tuple[MountedShare, Line]
) -> None:
    mounted, line = counted
    with opened(mounted.path / here.path.name / "file", os.O_CREAT | os.O_RDWR) as fd:
        before = line.sent
        os.posix_fallocate(fd, 0, 64 * MIB)
        assert line.sent - before < 5 * 1024  # some requests; it would be 16,384 without the call
        assert os.fstat(fd).st_size == 64 * MIB


def test_copies_between_two_files_that_are_written(here: Here) -> None:
    data = bytearray(noise(3 * MIB))
    with (
        opened(here.path / "from", os.O_CREAT | os.O_RDWR) as source,
        opened(here.path / "to", os.O_CREAT | os.O_RDWR) as target,
    ):
        os.pwrite(source, data, 0)  # unsent when the copy begins
        os.pwrite(target, b"t" * MIB, 0)
        assert os.copy_file_range(source, target, MIB, 1 * MIB, MIB // 2) == MIB
        assert os.pread(target, 2 * MIB, 0) == b"t" * (MIB // 2) + data[MIB : 2 * MIB]
        os.pwrite(target, b"after", MIB)
    expected = bytearray(b"t" * (MIB // 2) + data[MIB : 2 * MIB])
    expected[MIB : MIB + 5] = b"after"
    assert (here.behind / "to").read_bytes() == expected


def test_a_sparse_file_stays_sparse_in_a_copy(here: Here, tmp_path: Path) -> None:
    with opened(here.path / "image", os.O_CREAT | os.O_RDWR) as fd:
        os.ftruncate(fd, 64 * MIB)
        for offset in (0, 20 * MIB, 63 * MIB):
            os.pwrite(fd, noise(8192, offset), offset)
    copies = {"on the share": here.path / "copy", "away from it": tmp_path / "copy"}
    for copy in copies.values():
        command = ["cp", "--sparse=auto", str(here.path / "image"), str(copy)]
        subprocess.run(command, check=True, timeout=60)
        subprocess.run(["cmp", here.path / "image", copy], check=True, timeout=60)
        assert copy.stat().st_blocks * 512 < MIB
    assert (here.behind / "copy").stat().st_blocks * 512 < MIB


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_program_that_waits_for_a_lock_can_be_ended(here: Here, number: signal.Signals) -> None:
    (here.path / "file").touch()
    command = [*BARE_PYTHON, LOCKER]
    pipe = subprocess.PIPE
    with subprocess.Popen([*command, here.other / "file"], stdin=pipe, stdout=pipe) as holder:
        assert holder.stdout is not None
        assert [holder.stdout.readline() for _ in range(2)] == [b"about to\n", b"got\n"]
        with subprocess.Popen([*command, here.path / "file"], stdin=pipe, stdout=pipe) as waiter:
            assert waiter.stdout is not None
            # Before that Python may swallow a signal, as long as it imports things.
            assert waiter.stdout.readline() == b"about to\n"
            time.sleep(0.5)
            waiter.send_signal(number)
            started = time.monotonic()
            assert waiter.wait(20) == -number
            assert time.monotonic() - started < 2
        holder.communicate(b"", timeout=20)
    # What was asked for by the one that is gone is not held by anybody.
    with subprocess.Popen([*command, here.path / "file"], stdin=pipe, stdout=pipe) as last:
        assert last.stdout is not None
        assert [last.stdout.readline() for _ in range(2)] == [b"about to\n", b"got\n"]
        last.communicate(b"", timeout=20)


def test_sixty_four_writers_need_no_more_memory_than_they_may(server: Samba, here: Here) -> None:
    with (
        Line(server.port, rate=30e6) as line,
        MountedShare(server, "share", f"port={line.port}", "cache_mem=16M") as mounted,
    ):
        place = mounted.path / here.path.name
        code = "import sys, threading\ndef write(path):\n"
        code += "    with open(path, 'wb', 0) as file:\n"
        code += "        for _ in range(3): file.write(bytes(1 << 20))\n"
        code += "for path in sys.argv[1:]: threading.Thread(target=write, args=[path]).start()"
        command = [*BARE_PYTHON, code, *[str(place / str(number)) for number in range(64)]]
        subprocess.run(command, check=True, timeout=90)
        status = Path(f"/proc/{mounted.pid}/status").read_text()
    [peak_kib] = [int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line]
    # Half of cache_mem, a request of 1 MiB for each that waits, and the program itself.
    assert peak_kib < (8 + 64 + 90) * 1024
    assert {file.stat().st_size for file in here.behind.iterdir()} == {3 * MIB}
