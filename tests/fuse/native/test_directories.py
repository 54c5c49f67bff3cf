"""A listing is told once, in the kernel's portions, and counted as far as it was taken."""

from __future__ import annotations

import errno
import os
import struct
from typing import Any

import pytest

from smbfs.fuse.native import questions
from smbfs.fuse.native.uapi import Opcode
from smbfs.fuse.server import MISS, DirectoryItem, FileHandle, Miss
from tests.fake.kernel import FakeKernel, kernel_of
from tests.fuse.scripted import Fake, attributes

PLUS, PLAIN = Opcode.READDIRPLUS, Opcode.READDIR


def item(number: int) -> DirectoryItem:
    return DirectoryItem(b"name-%d" % number, attributes(100 + number), number + 1)


class Directory(Fake):
    """A listing that comes in chunks; ``at_hand`` says which of them are there at once."""

    def __init__(self, count: int, chunk: int = 4, at_hand: bool = True, **answers: Any) -> None:
        dots = [DirectoryItem(b".", attributes(1), 1), DirectoryItem(b"..", attributes(1), 2)]
        super().__init__(dots=dots, **answers)
        self.items = [item(number) for number in range(2, 2 + count)]
        self.chunk, self.at_hand = chunk, at_hand

    def _some(self, after: int) -> list[DirectoryItem]:
        begin = max(after - 2, 0)
        end = (begin // self.chunk + 1) * self.chunk
        return self.items[begin:end]

    def readdir_now(self, request: Any, fh: FileHandle, after: int) -> list[DirectoryItem] | Miss:
        return (self._some(after) or MISS) if self.at_hand else MISS

    async def readdir(self, request: Any, fh: FileHandle, after: int) -> list[DirectoryItem]:
        if "error" in self.answers:
            raise self.answers["error"]
        return self._some(after)


def unpacked(body: bytes, opcode: Opcode) -> list[tuple[bytes, int, int]]:
    """Names, node numbers and cookies of a reply."""
    found, at = [], 0
    skip = 128 if opcode == PLUS else 0
    while at < len(body):
        node = struct.unpack_from("<Q", body, at)[0]
        ino, cookie, size, _ = struct.unpack_from("<QQII", body, at + skip)
        at += skip + 24
        found.append((body[at : at + size], node if skip else ino, cookie))
        at += (size + 7) // 8 * 8
    return found


async def read(
    kernel: FakeKernel, opcode: Opcode, size: int = 4096, after: int = 0
) -> list[tuple[bytes, int, int]]:
    """A whole listing as the kernel reads it: until an answer is empty."""
    whole: list[tuple[bytes, int, int]] = []
    while True:
        body = bytes(questions.ReadIn(fh=5, offset=after, size=size))
        said = await kernel.call(opcode, body)
        assert said.error == 0
        assert len(said.body) <= size
        if not said.body:
            return whole
        whole += unpacked(said.body, opcode)
        after = whole[-1][2]


@pytest.mark.parametrize("opcode", [PLUS, PLAIN])
@pytest.mark.parametrize("at_hand", [True, False])
@pytest.mark.parametrize("size", [400, 1000, 65536])
async def test_every_name_comes_once(opcode: Opcode, at_hand: bool, size: int) -> None:
    directory = Directory(30, at_hand=at_hand)
    async with kernel_of(directory) as (kernel, _):
        found = await read(kernel, opcode, size)
    assert [name for name, _, _ in found] == [b".", b"..", *(one.name for one in directory.items)]
    assert [cookie for _, _, cookie in found] == list(range(1, 33))
    expected = [one.attributes.node for one in directory.items]
    assert directory.was_listed == (expected if opcode == PLUS else [])
    assert directory.forgotten == []


async def test_dots_count_as_no_lookup() -> None:
    async with kernel_of(Directory(0)) as (kernel, _):
        assert await read(kernel, PLUS) == [(b".", 0, 1), (b"..", 0, 2)]
        assert [node for _, node, _ in await read(kernel, PLAIN)] == [1, 1]


async def test_a_listing_may_begin_behind_the_first_dot() -> None:
    async with kernel_of(Directory(1)) as (kernel, _):
        found = await read(kernel, PLUS, after=1)
        assert [name for name, _, _ in found] == [b"..", b"name-2"]


async def test_an_error_waits_until_what_is_there_was_told() -> None:
    directory = Directory(3, error=OSError(errno.EIO, "lost"))
    async with kernel_of(directory) as (kernel, _):
        body = bytes(questions.ReadIn(fh=5, offset=0, size=4096))
        said = await kernel.call(PLUS, body)
        names = [name for name, _, _ in unpacked(said.body, PLUS)]
        assert names == [b".", b"..", b"name-2", b"name-3", b"name-4"]
        body = bytes(questions.ReadIn(fh=5, offset=5, size=4096))
        assert (await kernel.call(PLUS, body)).error == -errno.EIO


async def test_what_was_not_taken_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int, parts: Any) -> int:
        raise OSError(errno.ENOENT, "nobody waits")

    directory = Directory(2)
    async with kernel_of(directory) as (kernel, _):
        monkeypatch.setattr(os, "writev", refuse)
        kernel.ask(PLUS, bytes(questions.ReadIn(fh=5, offset=0, size=4096)))
        await kernel.settled()
    assert directory.was_listed == [102, 103]
    assert directory.forgotten == [(102, 1), (103, 1)]


@pytest.mark.logs("bug: error")
async def test_an_entry_that_cannot_be_told_leaves_no_lookup_behind() -> None:
    directory = Directory(6, chunk=2)
    directory.items[3].attributes.rdev = 1 << 40
    async with kernel_of(directory) as (kernel, _):
        body = bytes(questions.ReadIn(fh=5, offset=0, size=4096))
        assert (await kernel.call(PLUS, body)).error == -errno.EIO
    assert directory.was_listed == [102, 103]
    assert directory.forgotten == [(102, 1), (103, 1)]
