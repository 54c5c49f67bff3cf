"""LOSS promises: what becomes of open files and unsent bytes when the connection is lost."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.line import Line
from tests.mount.ground import SLACK_S, eventually, fails, noise, opened
from tests.mounted import MountedShare, MountError
from tests.samba import Samba
from tests.semantics.document import proves

MIB = 1 << 20


GOES_ON = (
    "LOSS-3 A file that was open when the connection was lost goes on with the next one: the server"
    " kept it for us, or it is opened anew and is the same file, unchanged if it was open for "
    "writing."
)


@proves(GOES_ON)
def test_open_files_go_on_after_a_cut(private: Samba) -> None:
    with (
        Line(private.port) as line,
        MountedShare(private, "share", f"port={line.port}", "actimeo=0") as mounted,
        opened(mounted.path / "file", os.O_CREAT | os.O_RDWR) as fd,
    ):
        for number in range(5):
            os.pwrite(fd, b"%d" % number, number)
            if number % 2:
                os.fsync(fd)
            line.cut()
            os.pwrite(fd, b"more", 10)
        os.fsync(fd)
        assert os.pread(fd, 5, 0) == b"01234"
        assert (mounted.behind / "file").read_bytes()[:5] == b"01234"
        os.ftruncate(fd, 3)
        line.cut()
        os.ftruncate(fd, 2)
        assert (mounted.behind / "file").read_bytes() == b"01"


@proves(GOES_ON)
def test_open_files_go_on_after_a_restart(private: Samba) -> None:
    with MountedShare(private, "share", "actimeo=0") as mounted:
        (mounted.behind / "file").write_bytes(noise(MIB))
        os.utime(mounted.behind / "file", (1, 1))
        with (
            opened(mounted.path / "file") as reader,
            opened(mounted.path / "file", os.O_RDWR) as writer,
        ):
            assert os.pread(reader, 9, 0) == noise(MIB)[:9]
            private.restart()
            time.sleep(5)
            assert os.pread(reader, MIB, 0) == noise(MIB)
            os.pwrite(writer, b"here", 0)
            os.fsync(writer)
            assert (mounted.behind / "file").read_bytes() == b"here" + noise(MIB)[4:]


@proves(
    "LOSS-10 An open file that cannot be gone on with, because it was replaced, deleted, changed "
    "while it was open for writing, or its locks are lost, gives ESTALE at every further read, "
    "write, fsync and truncation, and the log says why; opened again, it works."
)
@pytest.mark.parametrize("how", ["replaced", "deleted", "changed"])
def test_a_file_that_is_another(private: Samba, how: str) -> None:
    with MountedShare(private, "share", "actimeo=0") as mounted:
        behind = mounted.behind / "file"
        (mounted.path / "file").write_text("as it was")
        with opened(mounted.path / "file", os.O_RDWR | os.O_DIRECT) as fd:
            private.kill()
            if how != "changed":
                behind.rename(behind.with_name("elsewhere"))
            if how != "deleted":
                behind.write_text("still there")
            private.start()
            time.sleep(5)
            with fails(errno.ESTALE):
                os.pread(fd, 4096, 0)
            with fails(errno.ESTALE):
                os.pwrite(fd, b"nowhere", 0)
            with fails(errno.ESTALE):
                os.ftruncate(fd, 1)
            with fails(errno.ESTALE):
                os.fsync(fd)
            assert "file was open when the connection was lost" in mounted.log()
            if how != "deleted":
                with opened(mounted.path / "file") as again:
                    assert os.read(again, 20) == b"still there"


UNSENT = (
    "LOSS-4 Bytes that were taken and not yet sent when the connection was lost are sent when the "
    "server is back within `timeout=`; else they are lost, and the close says so."
)


@proves(UNSENT)
def test_unsent_bytes_are_sent(private: Samba) -> None:
    data = noise(8 * MIB)
    with (
        Line(private.port, rate=4 * MIB) as line,
        MountedShare(private, "share", f"port={line.port}") as mounted,
    ):
        fd = os.open(mounted.path / "file", os.O_CREAT | os.O_WRONLY)
        os.write(fd, data)
        time.sleep(0.5)
        assert line.cut() < len(data), "it was cut in the middle"
        os.close(fd)
        assert (mounted.behind / "file").read_bytes() == data


@proves(UNSENT)
def test_unsent_bytes_are_lost(private: Samba) -> None:
    with MountedShare(private, "share", "timeout=3") as mounted:
        fd = os.open(mounted.path / "file", os.O_CREAT | os.O_WRONLY)
        private.freeze()
        os.write(fd, noise(MIB))
        private.kill()
        with fails(errno.EHOSTDOWN):
            os.close(fd)
        private.start()
        assert (mounted.behind / "file").read_bytes() == b""


@proves(
    "LOSS-11 Every range of bytes that was taken and could not be written is told by `smbfs "
    "errors`, with its file and the reason, also when the mount is gone."
)
def test_what_was_lost_is_told_later(private: Samba) -> None:
    with MountedShare(private, "share", "timeout=2") as mounted:
        assert mounted.smbfs("errors").stdout == "Nothing was lost.\n"
        (mounted.path / "folder").mkdir()
        fd = os.open(mounted.path / "folder" / "file", os.O_CREAT | os.O_WRONLY)
        os.write(fd, b"x")
        os.fsync(fd)
        private.freeze()
        os.pwrite(fd, noise(3 * MIB), 1)
        private.kill()
        with fails(errno.EHOSTDOWN):
            os.close(fd)
        private.start()
        mounted.umount()
        told = mounted.smbfs("errors", str(mounted.path))
        assert told.returncode == 1
        lost = f"{mounted.path}/folder/file: bytes 1 to {3 * MIB} were not written: "
        assert lost in told.stdout
        assert "refuses the connection" in told.stdout
        assert [one["size"] for one in json.loads(mounted.smbfs("errors", "--json").stdout)] == [
            3 * MIB
        ]
        assert mounted.smbfs("errors", "--clear").returncode == 0
        assert mounted.smbfs("errors").stdout == "Nothing was lost.\n"


@proves(
    "LOSS-12 With `hard` a call waits until the server is back, however long that takes; Ctrl-C and"
    " `kill` end it, and so does an unmount."
)
def test_waiting_for_the_server(private: Samba) -> None:
    with MountedShare(private, "share", "hard", "timeout=2", "actimeo=0") as mounted:
        (mounted.path / "file").write_text("before")
        private.kill()
        looks = [
            subprocess.Popen(["cat", mounted.path / "file"], stdout=subprocess.PIPE)
            for _ in range(3)
        ]
        time.sleep(8)
        assert [look.poll() for look in looks] == [None, None, None]
        looks[0].send_signal(signal.SIGINT)
        looks[1].kill()
        assert looks[0].wait(5) == -signal.SIGINT
        assert looks[1].wait(5) == -signal.SIGKILL
        private.start()
        assert looks[2].communicate(timeout=20)[0] == b"before"
        for look in looks[:2]:
            look.communicate()
        private.kill()
        last = subprocess.Popen(["cat", mounted.path / "file"], stderr=subprocess.PIPE)
        time.sleep(3)
        mounted.terminate()
        assert b"cat: " in last.communicate(timeout=20)[1]
        private.start()


@proves(
    "LOSS-13 Locks of an open file are taken again with the next connection, if nobody can have "
    "changed the file meanwhile and nobody else has locked it."
)
@pytest.mark.parametrize("locks", ["auto", "server"])
def test_locks_are_taken_again(private: Samba, locks: str) -> None:
    (private["share"].path / "file").write_bytes(b"locked")
    os.utime(private["share"].path / "file", (1, 1))
    with (
        Line(private.port) as line,
        MountedShare(private, "share", f"port={line.port}", f"locks={locks}") as mounted,
        MountedShare(private, "share", "locks=server") as other,
        opened(mounted.path / "file", os.O_RDWR) as fd,
    ):
        fcntl.lockf(fd, fcntl.LOCK_EX, 3)
        line.cut()
        time.sleep(1.5)
        os.pwrite(fd, b"L", 0)
        os.fsync(fd)
        with opened(other.path / "file", os.O_RDWR) as theirs:
            with fails(errno.EAGAIN):
                fcntl.lockf(theirs, fcntl.LOCK_EX | fcntl.LOCK_NB, 3)
            fcntl.lockf(fd, fcntl.LOCK_UN)
            fcntl.lockf(theirs, fcntl.LOCK_EX | fcntl.LOCK_NB, 3)


@proves(
    "LOSS-14 With `spool_dir=` the bytes that cannot be sent before smbfs has to end are kept "
    "there, and `smbfs spool` writes them to the file later, unless it was changed meanwhile."
)
def test_what_could_not_be_sent_is_kept(private: Samba, tmp_path: Path) -> None:
    data = noise(2 * MIB)
    with MountedShare(private, "share", f"spool_dir={tmp_path}", "timeout=4") as mounted:
        fd = os.open(mounted.path / "file", os.O_CREAT | os.O_WRONLY)
        os.write(fd, b"x")
        os.fsync(fd)
        private.freeze()
        os.pwrite(fd, data, 1)
        private.kill()
        mounted.terminate()
        with contextlib.suppress(OSError):
            os.close(fd)
    private.start()
    assert (private["share"].path / "file").read_bytes() == b"x"
    with MountedShare(private, "share") as again:
        told = again.smbfs("spool", str(tmp_path))
        assert told.returncode == 1
        assert "/file: bytes 1 to " in told.stdout
        done = again.smbfs("spool", str(tmp_path), "--retry", str(again.path))
        assert (done.returncode, done.stdout) == (0, "")
        assert again.smbfs("spool", str(tmp_path)).stdout == "Nothing is kept.\n"
    assert (private["share"].path / "file").read_bytes() == b"x" + data


@proves(
    "MOUNT-5 `smbfs status` tells how a mount is within a second or two, whether the server is "
    "there or not."
)
def test_how_a_mount_is(private: Samba) -> None:
    with MountedShare(private, "share", "timeout=2", "actimeo=0") as mounted:

        def told() -> dict[str, Any]:
            started = time.monotonic()
            done = mounted.smbfs("status", "--json", str(mounted.path))
            assert time.monotonic() - started < 5  # most of it is Python's start
            assert done.returncode == 0
            [found] = json.loads(done.stdout)
            assert isinstance(found, dict)
            return found

        with opened(mounted.path / "file", os.O_CREAT | os.O_RDWR):
            found = told()
            assert found["state"] == "connected"
            assert found["share"] == f"//127.0.0.1/{mounted.behind.name}"
            assert found["connection"]["dialect"] == "3.1.1"
            assert found["files"]["open"] == 1
            private.freeze()
            with fails(errno.ETIMEDOUT, errno.EHOSTDOWN):
                os.stat(mounted.path / "name")
            found = told()
            assert (found["state"], found["connection"]) == ("away", None)
            assert found["trouble"]
            assert found["files"]["away"] == 1
            assert any("is away" in one["message"] for one in found["last_errors"])
            assert "server is away" in mounted.smbfs("status", str(mounted.path)).stdout
            private.thaw()
            assert eventually(lambda: told()["state"] == "connected")
            assert eventually(lambda: told()["files"]["away"] == 0)
        assert told()["connections"] >= 2
        assert "connected for" in mounted.smbfs("status", str(mounted.path)).stdout


@proves(
    "MOUNT-4 With `persistenthandles` only a share is mounted whose open files outlive a restart of"
    " the server."
)
def test_persistent_handles_that_cannot_be_had(private: Samba) -> None:
    failing = MountedShare(private, "share", "persistenthandles")
    with pytest.raises(MountError, match="Remove `persistenthandles`") as error:
        failing.mount()
    assert error.value.status == 32
    failing.close()


@proves(
    "MOUNT-7 With a server that is away or silent, `umount`, `umount -l` and SIGTERM come to their "
    "end within `timeout=` and a moment once programs have closed their files, and `smbfs errors` "
    "tells what was not sent."
)
@pytest.mark.parametrize(
    ("how", "server"), [("umount", "killed"), ("umount -l", "frozen"), ("SIGTERM", "frozen")]
)
def test_an_end_without_a_server(private: Samba, how: str, server: str) -> None:
    timeout_s = 2
    with MountedShare(private, "share", f"timeout={timeout_s}") as mounted:
        fd = os.open(mounted.path / "file", os.O_CREAT | os.O_WRONLY)
        private.freeze()
        os.write(fd, noise(MIB))
        if server == "killed":
            private.kill()
        started = time.monotonic()
        if how == "SIGTERM":
            mounted.terminate()
            with contextlib.suppress(OSError):
                os.close(fd)
        elif how == "umount -l":
            subprocess.run(["umount", "-i", "-c", "-l", mounted.path], check=True)
            with contextlib.suppress(OSError):
                os.close(fd)
            started = time.monotonic()
            mounted.wait_for_end()
        else:
            with contextlib.suppress(OSError):
                os.close(fd)
            started = time.monotonic()
            mounted.umount()
        assert time.monotonic() - started < timeout_s + SLACK_S / 2
        told = mounted.smbfs("errors")
        assert f"{mounted.path}/file: bytes 0 to {MIB - 1} were not written" in told.stdout
        (private.thaw if server == "frozen" else private.start)()
