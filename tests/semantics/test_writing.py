"""The further WRITE promises: straight writes, appends, sizes, mappings, copies."""

from __future__ import annotations

import errno
import mmap
import os
import subprocess
from pathlib import Path

import pytest

from tests.mount.ground import fails, noise, opened
from tests.mounted import MountedShare
from tests.processes import BARE_PYTHON
from tests.samba import Samba
from tests.semantics.conftest import Here
from tests.semantics.document import proves

GIB = 1 << 30
PAGE = mmap.PAGESIZE
MAPPING = """
import mmap, os, sys
with open(sys.argv[1], "r+b") as file, mmap.mmap(file.fileno(), 2 * mmap.PAGESIZE) as mapped:
    mapped[mmap.PAGESIZE : mmap.PAGESIZE + 6] = b"mapped"
    mapped.flush()
    os._exit(0)
"""
NEW = os.O_CREAT | os.O_RDWR


@proves(
    "WRITE-13 While no other client has a file open, writes may wait to be sent; the server has "
    "all of them before another client's open of the file succeeds."
)
def test_unsent_writes_and_another_client(here: Here) -> None:
    other = here.through("actimeo=0")
    data = noise(3_000_000)
    with opened(here.path / "file", NEW) as fd:
        for turn in range(5):
            os.pwrite(fd, data[turn:], 0)
            assert (other / "file").read_bytes()[: len(data) - turn] == data[turn:]


@proves(
    "WRITE-14 While another client has a file open, `write` returns when the server has the bytes, "
    "unless `cache=loose` or `nolease` is given."
)
def test_writes_while_another_client_looks(here: Here) -> None:
    (here.path / "once").write_text("so that the server has shown what it grants")
    (here.path / "file").write_text("")
    with opened(here.through("actimeo=0") / "file"), opened(here.path / "file", os.O_WRONLY) as fd:
        for turn in range(20):
            os.write(fd, b"%d" % (turn % 10))
            assert len((here.behind / "file").read_bytes()) == turn + 1


@proves(
    "WRITE-6 With `O_DIRECT`, `O_SYNC` or the mount option `sync`, `write` returns when the "
    "server has the bytes, and its own error is what it tells."
)
@pytest.mark.parametrize(("flag", "options"), [(os.O_DIRECT, ()), (os.O_SYNC, ()), (0, ("sync",))])
def test_straight_writes(here: Here, flag: int, options: tuple[str, ...]) -> None:
    page = mmap.mmap(-1, PAGE)  # O_DIRECT wants aligned memory
    page.write(noise(PAGE))
    with opened(here.through(*options) / "file", NEW | flag) as fd:
        for number in range(3):
            os.pwrite(fd, page, number * PAGE)
            assert (here.behind / "file").read_bytes() == page[:] * (number + 1)


@proves(
    "WRITE-6 With `O_DIRECT`, `O_SYNC` or the mount option `sync`, `write` returns when the "
    "server has the bytes, and its own error is what it tells."
)
def test_straight_writes_fail_at_once(private: Samba) -> None:
    with MountedShare(private) as mounted:
        fd = os.open(mounted.path / "file", NEW | os.O_SYNC)
        private.kill()
        with fails(errno.EHOSTDOWN):
            os.write(fd, b"nobody is there")
        private.start()
        os.close(fd)


@proves(
    "WRITE-7 With `O_APPEND` each write goes to where the file ends on the server at that moment,"
    " whatever was appended elsewhere."
)
def test_append(here: Here) -> None:
    with opened(here.path / "log", NEW | os.O_APPEND) as fd:
        for number in range(3):
            os.write(fd, b"here %d\n" % number)
            with (here.behind / "log").open("ab") as other:
                other.write(b"elsewhere %d\n" % number)
    lines = (here.behind / "log").read_text().splitlines()
    assert lines == [f"{where} {number}" for number in range(3) for where in ("here", "elsewhere")]


@proves(
    "WRITE-8 A file can be made shorter or longer while it is written to, and what is added reads"
    " as zeros."
)
def test_sizes(here: Here) -> None:
    with opened(here.path / "file", NEW) as fd:
        os.write(fd, b"abcdef")
        os.ftruncate(fd, 3)
        os.ftruncate(fd, 5)
        assert os.pread(fd, 10, 0) == b"abc\0\0"
        os.truncate(here.path / "file", 1)
        os.pwrite(fd, b"z", 2)
        assert os.fstat(fd).st_size == 3
    assert (here.behind / "file").read_bytes() == b"a\0z"


@proves("WRITE-9 A file may be larger than 4 GiB, and may be written with gaps.")
def test_large_files(here: Here) -> None:
    with opened(here.path / "large", NEW) as fd:
        os.pwrite(fd, b"end", 5 * GIB)
        assert os.pread(fd, 8, 5 * GIB - 4) == b"\0\0\0\0end"
        assert os.pread(fd, 8, 0) == bytes(8)
        assert os.lseek(fd, 0, os.SEEK_END) == 5 * GIB + 3
    assert (here.behind / "large").stat().st_size == 5 * GIB + 3


@proves("WRITE-10 A shared mapping may be written; `msync` sends the changes to the server.")
def test_shared_mappings(here: Here) -> None:
    (here.behind / "file").write_bytes(bytes(2 * PAGE))
    # In a process of its own: who touches a mapping that cannot be had is killed by SIGBUS.
    subprocess.run([*BARE_PYTHON, MAPPING, here.path / "file"], check=True, timeout=30)
    assert (here.behind / "file").read_bytes()[PAGE : PAGE + 6] == b"mapped"


@proves(
    "WRITE-11 `copy_file_range` copies; with `transport=native` the server does it where it can, "
    "and the bytes do not travel."
)
def test_copies(here: Here) -> None:
    data = noise(300_000)
    (here.behind / "from").write_bytes(data)
    with opened(here.path / "from") as source, opened(here.path / "to", NEW) as target:
        while os.copy_file_range(source, target, len(data)):
            pass
    assert (here.behind / "to").read_bytes() == data


@proves(
    "WRITE-12 With `transport=pyfuse3`, `fallocate` fails with EOPNOTSUPP, and `SEEK_HOLE` knows "
    "of no holes."
)
def test_what_pyfuse3_has_not(here: Here) -> None:
    with opened(here.path / "file", NEW) as fd:
        os.ftruncate(fd, 10 << 20)
        assert os.lseek(fd, 0, os.SEEK_HOLE) == 10 << 20
    assert "not supported" in fallocate(here.path / "file")


def fallocate(path: Path) -> str:
    """What the command fallocate says of reserving space; nothing if it could be done."""
    done = subprocess.run(
        ["fallocate", "--length", "20M", path], capture_output=True, text=True, check=False
    )
    return done.stderr
