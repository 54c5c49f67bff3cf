"""The pyfuse3 server as a whole: every wait ends, nothing is lost on the way, it comes and goes."""

from __future__ import annotations

import errno
import os
from typing import Any

import pyfuse3
import pytest
import trio
from trio.testing import MockClock

from smbfs.fuse import pyfuse3_server
from smbfs.fuse.pyfuse3_server import Server
from smbfs.fuse.server import DATA_PATIENCE, MISS, DirectoryItem, Entry, FileHandle, Opened
from tests.fuse.scripted import CTX, TIMEOUT_S, Fake, attributes, server

# Deadlines


@pytest.mark.parametrize(
    ("call", "factor"),
    [
        (("lookup", 1, b"n", CTX), 1),
        (("create", 1, b"n", 0, 0, CTX), 1),
        (("open", 7, 0, CTX), DATA_PATIENCE),
        (("read", 5, 0, 1), DATA_PATIENCE),
        (("write", 5, 0, b"x"), DATA_PATIENCE),
        (("flush", 5), DATA_PATIENCE),
        (("fsync", 5, 0), DATA_PATIENCE),
        (("release", 5), DATA_PATIENCE),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
async def test_every_wait_ends(
    call: tuple[Any, ...], factor: float, autojump_clock: MockClock
) -> None:
    name, *arguments = call
    operations, fake = server(**{name: trio.sleep_forever})
    with pytest.raises(pyfuse3.FUSEError) as error:
        await getattr(operations, name)(*arguments)
    assert error.value.errno == errno.ETIMEDOUT
    assert trio.current_time() == TIMEOUT_S * factor
    assert fake.forgotten == []


# What did not reach the kernel


@pytest.mark.logs("bug: OverflowError")
async def test_an_entry_that_cannot_be_told_is_forgotten() -> None:
    operations, fake = server(lookup=Entry(attributes(size=1 << 63)))
    with pytest.raises(pyfuse3.FUSEError):
        await operations.lookup(1, b"n", CTX)
    assert fake.forgotten == [(7, 1)]


@pytest.mark.logs("bug: TypeError")
async def test_an_absence_that_cannot_be_told_has_nothing_to_forget() -> None:
    never: Any = "never"
    operations, fake = server(lookup=Entry(None, never))
    with pytest.raises(pyfuse3.FUSEError):
        await operations.lookup(1, b"n", CTX)
    assert fake.forgotten == []


@pytest.mark.logs("bug: OverflowError")
async def test_a_file_that_cannot_be_told_is_closed_again() -> None:
    operations, fake = server(create=(Opened(FileHandle(6)), Entry(attributes(size=1 << 63))))
    with pytest.raises(pyfuse3.FUSEError):
        await operations.create(1, b"n", 0o644, 0, CTX)
    assert fake.forgotten == [(7, 1)]
    assert fake.asked[-1] == ("release", 6)


# Listings


class Answer:
    """The kernel's buffer: so many entries fit."""

    def __init__(self, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = room
        self.entries: list[tuple[bytes, int, int]] = []
        monkeypatch.setattr(pyfuse3, "readdir_reply", self.reply)

    def reply(self, token: object, name: bytes, attr: Any, next_id: int) -> bool:
        if len(self.entries) == self.room:
            return False
        self.entries.append((name, attr.st_ino, next_id))
        return True


def items(*numbers: int) -> list[DirectoryItem]:
    return [DirectoryItem(b"%d" % n, attributes(n), n) for n in numbers]


async def test_a_listing_in_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = Answer(10, monkeypatch)
    operations, fake = server(readdir_now=[items(2, 3), MISS, []], readdir=[items(4)])
    await operations.readdir(3, 0, None)
    assert answer.entries == [(b"2", 2, 2), (b"3", 3, 3), (b"4", 4, 4)]
    assert fake.was_listed == [2, 3, 4]
    cookies = [call[2] for call in fake.asked]
    assert cookies == [0, 3, 3, 4]


async def test_what_did_not_fit_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = Answer(2, monkeypatch)
    operations, fake = server(readdir_now=[items(2, 3, 4), []])
    await operations.readdir(3, 0, None)
    assert len(answer.entries) == 2
    assert fake.was_listed == [2, 3]


DOTS = [DirectoryItem(b".", attributes(7), 1), DirectoryItem(b"..", attributes(8), 2)]


@pytest.mark.parametrize(("after", "rest"), [(0, DOTS), (1, DOTS[1:]), (2, [])])
async def test_the_dots_come_first_and_count_as_no_lookup(
    after: int, rest: list[DirectoryItem], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Answer(10, monkeypatch)
    operations, fake = server(dots=DOTS, readdir_now=[items(3), []])
    await operations.readdir(3, after, None)
    assert [name for name, _, _ in answer.entries] == [one.name for one in rest] + [b"3"]
    assert fake.was_listed == [3]


async def test_dots_that_do_not_fit_are_left_for_the_next_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = Answer(1, monkeypatch)
    operations, fake = server(dots=DOTS, readdir_now=[items(3), []])
    await operations.readdir(3, 0, None)
    assert answer.entries == [(b".", 7, 1)]
    assert fake.asked == []


async def test_an_error_after_some_entries_is_told_at_the_next_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer = Answer(10, monkeypatch)
    gone = OSError(errno.EIO, "gone")
    operations, _ = server(readdir_now=[items(2), MISS, MISS], readdir=[gone, gone])
    await operations.readdir(3, 0, None)
    assert len(answer.entries) == 1
    with pytest.raises(pyfuse3.FUSEError):
        await operations.readdir(3, 2, None)


# The server


class Library:
    """pyfuse3's functions that have a process of their own to act on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, says: str | None = None) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.says = says
        for name in ("init", "terminate", "close"):
            monkeypatch.setattr(pyfuse3, name, getattr(self, name))
        monkeypatch.setattr(pyfuse3, "main", self.main)

    def init(self, operations: object, mountpoint: str, options: set[str]) -> None:
        if self.says is not None:
            os.write(2, self.says.encode())
            raise RuntimeError("fuse_session_mount failed")
        self.calls.append(("init", mountpoint, options))

    async def main(self, min_tasks: int, max_tasks: int) -> None:
        self.calls.append(("main", max_tasks))

    def terminate(self) -> None:
        self.calls.append(("terminate",))

    def close(self, unmount: bool) -> None:
        self.calls.append(("close", unmount))


def new_server() -> Server:
    fs: Any = Fake()
    return Server(fs, TIMEOUT_S)


async def test_the_life_of_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(monkeypatch)
    one = new_server()
    one.stop()
    one.detach(unmount=True)
    assert library.calls == []  # nothing was opened, and libfuse would crash
    one.attach("/mnt", ["ro", "ro"])
    await one.serve()
    one.stop()
    one.detach(unmount=True)
    one.detach(unmount=True)
    most = pyfuse3_server.MOST_TASKS
    assert library.calls == [
        ("init", "/mnt", {"ro"}),
        ("main", most),
        ("terminate",),
        ("close", True),
    ]
    assert most > 1000  # one that waits must not keep others from being asked


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("fuse: mount failed: Permission denied\n", "mount failed: Permission denied"),
        ("fusermount3: a\nfusermount3: b\n", "a; b"),
        ("", "fuse_session_mount failed"),
    ],
)
def test_what_libfuse_says_is_the_reason(
    said: str, sentence: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    Library(monkeypatch, said)
    one = new_server()
    with pytest.raises(OSError, match=r".") as error:
        one.attach("/mnt", [])
    assert error.value.strerror == sentence
    assert capfd.readouterr().err == ""
