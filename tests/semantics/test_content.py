"""OPEN and the first WRITE promises: whose bytes a reader sees, and when."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import threading
import time
from pathlib import Path

from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.capture import Capture, is_installed
from tests.fake.script import Fails
from tests.fake.tree import Volume
from tests.line import Line
from tests.mount.ground import BELIEF_S, fails, noise, opened
from tests.mounted import MountedShare
from tests.samba import Samba
from tests.semantics.conftest import Here, meanwhile
from tests.semantics.document import proves
from tests.semantics.served import Served

RACERS = 8
MIB = 1 << 20


@proves(
    "OPEN-1 An open sees everything that another client wrote and closed before it, size included."
)
def test_close_to_open(here: Here) -> None:
    other = here.through("actimeo=0")
    for text in ("old", "newer, and longer", "x", "") * 5:
        (other / "file").write_text(text)
        assert (here.path / "file").read_text() == text


@proves(
    "OPEN-7 A file that was closed here less than `closetimeo=` seconds (1) ago may be opened "
    "again without a question; what was written on the server itself, behind its file service, "
    "since then is seen when they have passed, or at once with `nolease`."
)
def test_changes_behind_the_service(here: Here) -> None:
    without = here.through("nolease", "actimeo=0")
    for text in ("old", "newer, and longer"):
        (here.behind / "file").write_text(text)
        assert (without / "file").read_text() == text
        time.sleep(BELIEF_S + 0.2)
        assert (here.path / "file").read_text() == text


@proves(
    "OPEN-8 A file that has not changed since it was last read here is not fetched again, for as "
    "long as there is memory."
)
def test_what_is_unchanged_is_not_fetched_again(private: Samba) -> None:
    data = noise(MIB)
    (private["share"].path / "file").write_bytes(data)
    time.sleep(2.5)  # so that a change would show in its times
    with Line(private.port) as line, MountedShare(private, "share", f"port={line.port}") as mount:
        assert (mount.path / "file").read_bytes() == data
        time.sleep(BELIEF_S + 0.5)  # nothing is kept open any more
        before = line.received
        assert (mount.path / "file").read_bytes() == data
        assert line.received - before < 10_000
        changed = data[:-1] + b"!"
        (mount.behind / "file").write_bytes(changed)
        time.sleep(BELIEF_S + 0.5)
        assert (mount.path / "file").read_bytes() == changed


@proves(
    "OPEN-2 A file that stays open shows what is written to it elsewhere once `actimeo=` seconds "
    "(1) have passed."
)
def test_an_open_file_is_not_frozen(here: Here) -> None:
    (here.behind / "file").write_text("old")
    with opened(here.path / "file") as fd:
        assert os.pread(fd, 10, 0) == b"old"
        (here.behind / "file").write_text("renewed")
        time.sleep(BELIEF_S + 0.2)
        assert os.pread(fd, 10, 0) == b"renewed"


@proves(
    "OPEN-3 With `cache=none`, each read asks the server and tells what is in the file at that "
    "moment."
)
def test_without_a_cache(here: Here) -> None:
    (here.behind / "file").write_text("one")
    with opened(here.through("cache=none") / "file") as fd:
        for text in ("one", "two", "six"):
            (here.behind / "file").write_text(text)
            assert os.pread(fd, 10, 0) == text.encode()


@proves(
    "OPEN-4 `O_EXCL` is decided by the server: of any number of clients that create one name, "
    "exactly one succeeds."
)
def test_exclusive_creation(here: Here) -> None:
    directories = [here.path, here.through("actimeo=0")]
    for name in map(str, range(5)):
        assert race_for([directory / name for directory in directories]) == 1


def race_for(paths: list[Path]) -> int:
    """How many of several creators at once, spread over these paths, think they were first."""
    start = threading.Barrier(RACERS)
    winners: list[int] = []

    def race(number: int) -> None:
        start.wait()
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
        with contextlib.suppress(FileExistsError), opened(paths[number % len(paths)], flags):
            winners.append(number)

    racers = [threading.Thread(target=race, args=[number]) for number in range(RACERS)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    return len(winners)


@proves(
    "OPEN-5 `O_TRUNC` empties the file and keeps its extended attributes and its DOS attributes."
)
def test_truncating_open(here: Here, samba: Samba) -> None:
    file = here.path / "file"
    file.write_text("something")
    os.setxattr(file, "user.kept", b"yes")
    samba.client("share", f"setmode {here.path.name}/file +h")
    with opened(file, os.O_WRONLY | os.O_TRUNC):
        assert (here.behind / "file").read_bytes() == b""
    assert os.getxattr(file, "user.kept") == b"yes"
    assert "attributes: HA" in samba.client("share", f"allinfo {here.path.name}/file")


@proves(
    "OPEN-6 What the server does not allow is told at `open` (EACCES), not at the first read or "
    "write."
)
def test_a_refusal_comes_early(samba: Samba) -> None:
    place = samba["readonly"]
    (place.path / "file").write_text("look, do not touch")
    with MountedShare(samba, "readonly") as mounted:
        with fails(errno.EACCES), opened(mounted.path / "file", os.O_RDWR):
            pass
        with opened(mounted.path / "file") as fd:
            assert os.read(fd, 4) == b"look"


@proves(
    "WRITE-1 A read sees every earlier write made here, through whatever descriptor and by "
    "whatever process."
)
def test_read_your_writes(here: Here) -> None:
    data = noise(3 * MIB)
    with opened(here.path / "file", os.O_CREAT | os.O_RDWR) as writer:
        with opened(here.path / "file") as reader:
            for at in range(0, len(data), 100_000):
                piece = data[at : at + 100_000]
                os.pwrite(writer, piece, at)
                assert os.pread(reader, len(piece), at) == piece
        os.pwrite(writer, b"last", 0)
        assert subprocess.check_output(["head", "-c4", here.path / "file"]) == b"last"


@proves(
    "WRITE-2 `write` returns when the bytes are taken; `close` returns when the server has all of"
    " them."
)
def test_close_waits(private: Samba) -> None:
    data = noise(2 * MIB)
    with MountedShare(private) as mounted:
        fd = os.open(mounted.path / "file", os.O_CREAT | os.O_WRONLY)
        private.freeze()
        os.write(fd, data)  # the server is silent: nothing but us can have taken them
        with meanwhile(0.3, private.thaw):
            os.close(fd)
        assert (mounted.behind / "file").read_bytes() == data


def flushes(server: Samba, directory: Path, *options: str) -> int:
    """How many FLUSH requests the server got for one fsync."""
    assert is_installed(), "needs tshark: packaging/bootstrap installs it"
    data = noise(MIB)
    with (
        Capture(server.port, directory / "pcap") as capture,
        MountedShare(server, "share", f"port={capture.port}", *options) as mounted,
    ):
        with opened(mounted.path / "synced", os.O_CREAT | os.O_WRONLY) as fd:
            os.write(fd, data)
            os.fsync(fd)
            assert (mounted.behind / "synced").read_bytes() == data
            count = sum(one.from_client and is_flush(one.data) for one in capture.frames())
        (mounted.path / "synced").unlink()
    return count


def is_flush(frame: bytes) -> bool:
    """Whether a frame is a FLUSH: its command stands at offset 12 ([MS-SMB2] 2.2.1)."""
    return int.from_bytes(frame[12:14], "little") == 7


@proves(
    "WRITE-3 `fsync` returns when the server has every byte and has answered a request to put "
    "them on its disk."
)
def test_fsync(samba: Samba, tmp_path: Path) -> None:
    assert flushes(samba, tmp_path) == 1


@proves(
    "WRITE-4 With `nostrictsync`, `fsync` sends every byte and does not ask the server to put "
    "them on its disk."
)
def test_fsync_that_is_not_strict(samba: Samba, tmp_path: Path) -> None:
    assert flushes(samba, tmp_path, "nostrictsync") == 0


@proves(
    "WRITE-5 The first write that is lost is told at every later write, fsync and close of that "
    "file."
)
def test_a_lost_write_is_told(private: Samba) -> None:
    with MountedShare(private, "share", "timeout=2") as mounted:
        fd = os.open(mounted.path / "file", os.O_CREAT | os.O_WRONLY)
        private.freeze()
        os.write(fd, noise(MIB))
        private.kill()
        for _ in range(2):
            with fails(errno.EHOSTDOWN):
                os.fsync(fd)
            with fails(errno.EHOSTDOWN):
                os.write(fd, b"more")
        other = os.dup(fd)
        for one in (other, fd):
            with fails(errno.EHOSTDOWN):
                os.close(one)
        private.start()


@proves(
    "WRITE-15 Bytes that were written and then lost are never read as what was there before: who "
    "reads them is told, or has them still, until everybody has closed the file."
)
def test_what_was_lost_is_not_read_as_before(samba: Samba, tmp_path: Path) -> None:
    volume = Volume("share")
    volume.put("file", b"a" * 8192)
    with Served(volume, tmp_path) as fake, MountedShare(samba, "share", *fake.options) as mounted:
        fd = os.open(mounted.path / "file", os.O_RDWR)
        fake.server.script.append(Fails(on=Command.WRITE, status=Status.DISK_FULL))
        os.pwrite(fd, b"b" * 512, 5000)
        for _ in range(2):
            with fails(errno.ENOSPC):
                os.pread(fd, 512, 5000)
        assert os.pread(fd, 4096, 0) == b"a" * 4096
        with fails(errno.ENOSPC):
            os.close(fd)
        assert (mounted.path / "file").read_bytes() == b"a" * 8192
