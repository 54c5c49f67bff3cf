"""Many at once: open files, threads, processes, all of whose work is checked."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from tests.mount.ground import TEST_S, Here, noise, opened

WORKER = """
import os, random, sys
home, number = sys.argv[1], int(sys.argv[2])
chance = random.Random(number)
model = bytearray()
path = os.path.join(home, f"own-{number}")
fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
common = os.open(os.path.join(home, "common"), os.O_RDWR | os.O_CREAT)
for turn in range(12):
    offset, data = chance.randrange(60_000), chance.randbytes(chance.randrange(1, 20_000))
    assert os.pwrite(fd, data, offset) == len(data)
    model.extend(bytes(max(0, offset - len(model))))
    model[offset:offset + len(data)] = data
    offset, size = chance.randrange(60_000), chance.randrange(1, 30_000)
    assert os.pread(fd, size, offset) == model[offset:offset + size], (number, turn)
    os.pwrite(common, b"%08d" % number, number * 8)
    assert os.pread(common, 8, number * 8) == b"%08d" % number
    name = os.path.join(home, f"brief-{number}-{turn}")
    with open(name, "wb") as brief:
        brief.write(data)
    os.rename(name, name + "+")
    assert os.stat(name + "+").st_size == len(data)
    if turn % 2:
        os.unlink(name + "+")
os.fsync(fd)
os.close(fd)
with open(path, "rb") as again:
    assert again.read() == model
sys.stdout.write("done")
"""
PROCESSES = 64


@pytest.fixture
def plenty() -> Iterator[None]:
    """Allow this process more open files than a login does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1200:
        pytest.skip("may not open 1,000 files here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("plenty")
def test_a_thousand_open_files(here: Here) -> None:
    with contextlib.ExitStack() as stack:
        files = []
        for number in range(1000):
            flags = os.O_RDWR | os.O_CREAT
            files.append(stack.enter_context(opened(here.path / f"{number}", flags)))
        for number, fd in enumerate(files):
            os.write(fd, b"%d" % number)
        assert len(os.listdir(here.path)) == 1000
        for number, fd in enumerate(files):
            assert os.pread(fd, 9, 0) == b"%d" % number
    assert (here.behind / "999").read_bytes() == b"999"
    assert sum(path.stat().st_size for path in here.behind.iterdir()) == 10 + 180 + 2700


def test_many_processes_at_once(here: Here) -> None:
    command = [sys.executable, "-S", "-c", WORKER, str(here.path)]
    workers = [
        subprocess.Popen(
            [*command, str(number)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for number in range(PROCESSES)
    ]
    said = [worker.communicate(timeout=TEST_S) for worker in workers]
    assert [one for one in said if one != ("done", "")] == []
    common = b"".join(b"%08d" % number for number in range(PROCESSES))
    assert (here.behind / "common").read_bytes() == common
    names = os.listdir(here.path)
    assert sorted(names) == sorted(os.listdir(here.behind))
    assert len(names) == 1 + PROCESSES * (1 + 6)


def test_threads_reading_one_file(here: Here) -> None:
    data = noise(6_000_000)
    (here.behind / "file").write_bytes(data)
    wrong: list[int] = []

    def read(number: int) -> None:
        with opened(here.path / "file") as fd:
            for turn in range(20):
                offset = (number * 7_654_321 + turn * 1_234_567) % len(data)
                size = 1 + (number * turn * 9973) % 300_000
                if os.pread(fd, size, offset) != data[offset : offset + size]:
                    wrong.append(offset)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TEST_S)
    assert not wrong


def test_threads_writing_their_parts_of_one_file(here: Here) -> None:
    size, parts = 200_000, 12

    def write(number: int) -> None:
        with opened(here.path / "file", os.O_RDWR | os.O_CREAT) as fd:
            part = noise(size, number)
            for at in range(0, size, 9_999):
                os.pwrite(fd, part[at : at + 9_999], number * size + at)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(parts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TEST_S)
    assert (here.path / "file").read_bytes() == b"".join(noise(size, n) for n in range(parts))


def test_many_looking_at_one_directory(here: Here) -> None:
    for number in range(200):
        (here.behind / str(number)).write_bytes(b"x" * number)
    wrong: list[object] = []

    def look(seed: int) -> None:
        for number in range(0, 200, 3):
            name = str((number * seed) % 200)
            if os.stat(here.path / name).st_size != int(name):
                wrong.append(name)
            if number % 50 == 0 and len(os.listdir(here.path)) != 200:
                wrong.append("listing")

    threads = [threading.Thread(target=look, args=(seed,)) for seed in range(1, 21)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TEST_S)
    assert not wrong
