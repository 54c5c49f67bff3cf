"""Each handler of the pyfuse3 server is one translation and one call; errors become errnos."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace
from typing import Any

import pyfuse3
import pytest
import trio

from smbfs.fuse import pyfuse3_server
from smbfs.fuse.pyfuse3_server import Operations
from smbfs.fuse.server import Change, Entry, FileHandle, Node, Opened, Space
from tests.fuse.scripted import CTX, ENTRY, TIMEOUT_S, Fake, attributes, server


@pytest.mark.parametrize(
    ("call", "asked"),
    [
        (("lookup", 1, b"n", CTX), ("lookup", 1, b"n")),
        (("mknod", 1, b"n", 0o644, 9, CTX), ("mknod", 1, b"n", 0o644, 9)),
        (("mkdir", 1, b"n", 0o755, CTX), ("mkdir", 1, b"n", 0o755)),
        (("symlink", 1, b"n", b"t", CTX), ("symlink", 1, b"n", b"t")),
        (("link", 7, 1, b"n", CTX), ("link", 7, 1, b"n")),
    ],
    ids=lambda value: value[0],
)
async def test_calls_that_answer_an_entry(call: tuple[Any, ...], asked: tuple[Any, ...]) -> None:
    operations, fake = server(**{call[0]: ENTRY})
    name, *arguments = call
    entry = await getattr(operations, name)(*arguments)
    assert fake.asked[-1] == asked
    assert (entry.st_ino, entry.entry_timeout, entry.attr_timeout) == (7, 2.5, 1.5)
    assert (entry.st_mode, entry.st_nlink, entry.st_uid, entry.st_gid) == (0o100644, 2, 5, 6)
    assert (entry.st_size, entry.st_blksize, entry.st_blocks) == (1234, 4096, 3)
    assert (entry.st_atime_ns, entry.st_mtime_ns, entry.st_ctime_ns) == (
        1_000_000_001,
        -2,
        3_000_000_003,
    )
    assert fake.forgotten == []


@pytest.mark.parametrize(
    ("call", "asked"),
    [
        (("unlink", 1, b"n", CTX), ("unlink", 1, b"n")),
        (("rmdir", 1, b"n", CTX), ("rmdir", 1, b"n")),
        (("rename", 1, b"a", 2, b"b", 1, CTX), ("rename", 1, b"a", 2, b"b", 1)),
        (("flush", 3), ("flush", 3)),
        (("fsync", 3, 1), ("fsync", 3, True)),
        (("release", 3), ("release", 3)),
        (("releasedir", 3), ("releasedir", 3)),
        (("fsyncdir", 3, 1), ("fsyncdir", 3)),
        (("setxattr", 7, b"user.x", b"v", CTX), ("setxattr", 7, b"user.x", b"v", 0)),
        (("removexattr", 7, b"user.x", CTX), ("removexattr", 7, b"user.x")),
    ],
    ids=lambda value: value[0],
)
async def test_calls_that_answer_nothing(call: tuple[Any, ...], asked: tuple[Any, ...]) -> None:
    operations, fake = server()
    name, *arguments = call
    assert await getattr(operations, name)(*arguments) is None
    assert fake.asked == [asked]


async def test_a_name_that_is_known_needs_no_wait() -> None:
    operations, fake = server(lookup_now=ENTRY, getattr_now=attributes(), getxattr_now=b"v")
    assert (await operations.lookup(1, b"n", CTX)).st_ino == 7
    assert (await operations.getattr(7, CTX)).st_size == 1234
    assert await operations.getxattr(7, b"user.x", CTX) == b"v"
    assert [call[0] for call in fake.asked] == ["lookup_now", "getattr_now", "getxattr_now"]


async def test_a_name_that_is_known_to_be_absent() -> None:
    operations, _ = server(lookup_now=Entry(None, 3.0))
    entry = await operations.lookup(1, b"n", CTX)
    assert (entry.st_ino, entry.entry_timeout) == (0, 3.0)


async def test_the_other_answers() -> None:
    operations, _ = server(
        getattr=attributes(),
        readlink=b"target",
        opendir=Opened(FileHandle(4)),
        open=Opened(FileHandle(5), direct_io=True),
        create=(Opened(FileHandle(6), keep_cache=True), ENTRY),
        write=3,
        getxattr=b"value",
        listxattr=[b"user.x"],
        statfs=Space(4096, 512, 100, 50, 40, 9, 8, 200),
    )
    assert (await operations.getattr(7, CTX)).st_ino == 7
    assert await operations.readlink(7, CTX) == b"target"
    assert await operations.opendir(1, CTX) == 4
    opened = await operations.open(7, os.O_RDONLY, CTX)
    assert (opened.fh, opened.direct_io, opened.keep_cache) == (5, True, False)
    opened, entry = await operations.create(1, b"n", 0o644, os.O_RDWR, CTX)
    assert (opened.fh, opened.keep_cache, entry.st_ino) == (6, True, 7)
    assert await operations.write(5, 0, b"abc") == 3
    assert await operations.getxattr(7, b"user.x", CTX) == b"value"
    assert await operations.listxattr(7, CTX) == [b"user.x"]
    assert await operations.access(7, 4, CTX) is True
    space = await operations.statfs(CTX)
    assert (space.f_bsize, space.f_frsize, space.f_blocks) == (4096, 512, 100)
    assert (space.f_bfree, space.f_bavail, space.f_files) == (50, 40, 9)
    assert (space.f_ffree, space.f_favail, space.f_namemax) == (8, 8, 200)


async def test_who_asks_is_told() -> None:
    seen = []

    class Noting(Fake):
        async def readlink(self, request: Any, node: Node) -> bytes:
            seen.append(request)
            return b""

    fs: Any = Noting()
    await Operations(fs, TIMEOUT_S).readlink(7, CTX)
    [request] = seen
    assert (request.uid, request.gid, request.pid, request.umask) == (1000, 1001, 42, 0o22)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("size", Change(size=9)),
        ("mode", Change(mode=0o4755)),
        ("uid", Change(uid=1)),
        ("gid", Change(gid=2)),
        ("atime", Change(atime_ns=3)),
        ("mtime", Change(mtime_ns=4)),
        ("", Change()),
    ],
)
async def test_only_what_is_said_is_changed(field: str, change: Change) -> None:
    operations, fake = server(setattr=attributes())
    names = ("size", "mode", "uid", "gid", "atime", "mtime")
    fields = SimpleNamespace(**{f"update_{name}": name == field for name in names})
    wanted = SimpleNamespace(
        st_size=9, st_mode=0o104755, st_uid=1, st_gid=2, st_atime_ns=3, st_mtime_ns=4
    )
    assert (await operations.setattr(7, wanted, fields, None, CTX)).st_ino == 7
    assert fake.asked == [("setattr", 7, change, None)]
    await operations.setattr(7, wanted, fields, 5, CTX)
    assert fake.asked[-1] == ("setattr", 7, change, 5)


async def test_bytes_at_hand_need_no_wait_and_no_copy() -> None:
    view = memoryview(b"abc")
    operations, fake = server(read_now=[view])
    assert await operations.read(5, 0, 3) is view
    assert fake.asked == [("read_now", 5, 0, 3)]


@pytest.mark.parametrize("views", [[], [b"ab"], [b"ab", b"cd"]])
async def test_pieces_are_one_answer(views: list[bytes]) -> None:
    operations, _ = server(read=[memoryview(view) for view in views])
    assert await operations.read(5, 0, 4) == b"".join(views)


# Errors


async def test_every_error_is_an_errno() -> None:
    operations, _ = server(unlink=OSError(errno.ENOTEMPTY, "not empty"))
    with pytest.raises(pyfuse3.FUSEError) as error:
        await operations.unlink(1, b"n", CTX)
    assert error.value.errno == errno.ENOTEMPTY


@pytest.mark.logs("bug: KeyError")
async def test_a_bug_does_not_kill_the_mount() -> None:
    operations, _ = server(unlink=KeyError("bug"))
    with pytest.raises(pyfuse3.FUSEError) as error:
        await operations.unlink(1, b"n", CTX)
    assert error.value.errno == errno.EIO


async def test_nothing_but_a_cancellation_passes() -> None:
    operations, _ = server(unlink=trio.sleep_forever)
    with trio.move_on_after(0) as scope:
        await operations.unlink(1, b"n", CTX)
    assert scope.cancelled_caught


async def test_forgetting() -> None:
    operations, fake = server()
    await operations.forget([(7, 2), (8, 1)])
    assert fake.forgotten == [(7, 2), (8, 1)]


@pytest.mark.logs("bug: forget failed")
async def test_forgetting_has_no_reply_and_so_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    operations, fake = server()
    monkeypatch.setattr(fake, "forget", None)
    await operations.forget([(7, 2)])


def test_every_operation_of_pyfuse3_is_guarded_or_left_out() -> None:
    class Named(pyfuse3.Operations):
        async def _private(self) -> None:
            raise KeyError

        async def ours(self) -> None:
            raise KeyError

        enable_acl = True

    before = dict(vars(Named))
    assert pyfuse3_server.guarded(Named) is Named
    assert dict(vars(Named)) == before
    left_out = {"init", "stacktrace", "poll"}
    for name, operation in vars(pyfuse3.Operations).items():
        if callable(operation) and not name.startswith("_") and name not in left_out:
            assert name in vars(Operations), f"{name} is not answered"
