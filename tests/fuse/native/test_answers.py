"""What the filesystem says becomes the bytes that the kernel expects."""

from __future__ import annotations

import os
import struct

from smbfs.fuse.native import answers
from smbfs.fuse.native.replies import OpenOut
from smbfs.fuse.server import (
    LOCK_END,
    DirectoryItem,
    Entry,
    FileHandle,
    Lock,
    LockType,
    Opened,
    Space,
)
from tests.fuse.scripted import ENTRY, attributes

ATTR = "6Q10I"
NS = 1_000_000_000


def whole(parts: answers.Parts) -> bytes:
    return b"".join(parts)


def test_attributes() -> None:
    found = struct.unpack(f"<QII{ATTR}", whole(answers.attributes(attributes(rdev=9)).parts))
    assert found[:3] == (1, 500_000_000, 0)
    ino, size, blocks, atime, mtime, ctime, atime_ns, mtime_ns, ctime_ns = found[3:12]
    assert (ino, size, blocks) == (7, 1234, 3)
    assert (atime, atime_ns) == (1, 1)
    assert (mtime, mtime_ns) == (2**64 - 1, 999_999_998)  # two nanoseconds before 1970
    assert (ctime, ctime_ns) == (3, 3)
    assert found[12:] == (0o100644, 2, 5, 6, 9, 4096, 0)


def test_belief_without_end() -> None:
    endless = attributes(believe_s=float("inf"))
    valid, nanoseconds = struct.unpack_from("<QI", whole(answers.attributes(endless).parts))
    assert (valid, nanoseconds) == (answers.FOR_EVER_S, 0)


def test_an_entry() -> None:
    found = struct.unpack(f"<4Q2I{ATTR}", whole(answers.entry(ENTRY)))
    assert found[:6] == (7, 0, 2, 1, 500_000_000, 500_000_000)
    assert found[6] == 7


def test_a_name_that_is_known_to_be_absent() -> None:
    found = struct.unpack(f"<4Q2I{ATTR}", whole(answers.entry(Entry(None, 3.25))))
    assert found[:6] == (0, 0, 3, 0, 250_000_000, 0)
    assert not any(found[6:])


def test_an_open_file() -> None:
    plain = whole(answers.opened(Opened(FileHandle(5))))
    assert plain == bytes(OpenOut(fh=5))
    kept = struct.unpack("<QIi", whole(answers.opened(Opened(FileHandle(5), keep_cache=True))))
    assert kept == (5, 2, 0)
    direct = struct.unpack("<QIi", whole(answers.opened(Opened(FileHandle(5), direct_io=True))))
    assert direct == (5, 1 | 64, 0)


def test_a_created_file() -> None:
    made = whole(answers.created(Opened(FileHandle(5)), ENTRY))
    assert made == whole(answers.entry(ENTRY)) + whole(answers.opened(Opened(FileHandle(5))))


def test_statx_tells_when_a_file_was_made() -> None:
    of = attributes(birth_ns=5 * NS + 6, flags=0x10, rdev=os.makedev(8, 300))
    packed = whole(answers.statx(of).parts)
    assert len(packed) == 32 + 256
    valid, valid_ns, flags = struct.unpack_from("<QII", packed)
    assert (valid, valid_ns, flags) == (1, 500_000_000, 0)
    mask, block_size, shown, links, uid, gid, mode = struct.unpack_from("<IIQIIIH", packed, 32)
    assert mask & 0x800  # STATX_BTIME
    assert (block_size, shown, links, uid, gid, mode) == (4096, 0x10, 2, 5, 6, 0o100644)
    ino, size, blocks, known = struct.unpack_from("<4Q", packed, 64)
    assert (ino, size, blocks, known) == (7, 1234, 3, answers.SHOWN_FLAGS)
    times = [struct.unpack_from("<qI", packed, 96 + 16 * number) for number in range(4)]
    assert times == [(1, 1), (5, 6), (3, 3), (-1, 999_999_998)]
    assert struct.unpack_from("<II", packed, 160) == (8, 300)


def test_space() -> None:
    space = Space(4096, 512, 100, 50, 40, 7, 6, 255)
    found = struct.unpack("<5Q4I24x", whole(answers.statfs(space).parts))
    assert found == (100, 50, 40, 7, 6, 4096, 255, 512, 0)


def test_locks_have_their_last_byte() -> None:
    held = Lock(LockType.WRITE, 10, 20, owner=3, pid=44)
    assert struct.unpack("<QQII", whole(answers.lock(held).parts)) == (10, 19, 1, 44)
    to_the_end = Lock(LockType.READ, 10, LOCK_END, owner=3)
    assert struct.unpack("<QQII", whole(answers.lock(to_the_end).parts)) == (10, 2**63 - 1, 0, 0)
    assert struct.unpack("<QQII", whole(answers.lock(None).parts)) == (0, 0, 2, 0)


ITEMS = [
    DirectoryItem(name, attributes(node, mode=0o040755), number)
    for number, (node, name) in enumerate([(11, b"a"), (12, b"eight888"), (13, b"c" * 255)], 3)
]


def test_a_plain_listing() -> None:
    parts, nodes, all_fitted = answers.listing(ITEMS, 4096, is_plus=False)
    assert all_fitted
    assert nodes == []
    assert parts[0] == struct.pack("<QQII", 11, 3, 1, 4) + b"a" + bytes(7)
    assert parts[1] == struct.pack("<QQII", 12, 4, 8, 4) + b"eight888"
    assert len(parts[2]) == 24 + 256


def test_a_listing_with_attributes_counts_what_fitted() -> None:
    parts, nodes, all_fitted = answers.listing(ITEMS, 2 * 160 + 10, is_plus=True)
    assert not all_fitted
    assert nodes == [11, 12]
    assert [len(part) for part in parts] == [160, 160]
    assert struct.unpack_from("<Q", parts[1]) == (12,)
    assert struct.unpack_from("<QQII", parts[1], 128) == (12, 4, 8, 4)


def test_dots_bring_no_inode() -> None:
    dots = [DirectoryItem(b".", attributes(1, mode=0o040755), 1)]
    parts, nodes, _ = answers.listing(dots, 4096, is_plus=True, count_lookups=False)
    assert nodes == []
    assert struct.unpack_from("<Q", parts[0]) == (0,)
    assert struct.unpack_from("<Q", parts[0], 128) == (1,)


def test_names_alone_are_no_lookups() -> None:
    item = DirectoryItem(b"one", attributes(7), 3, is_name_only=True)
    parts, nodes, _ = answers.listing([item], 4096, is_plus=True)
    assert nodes == []
    assert parts[0][:8] == bytes(8), "the kernel takes no node from it"
    assert parts[0][128:136] == (7).to_bytes(8, "little"), "but getdents tells its number"
