"""INIT: less is asked of older kernels, never more than is offered."""

from __future__ import annotations

import errno

import pytest

from smbfs.fuse.native.greeting import ALWAYS, LOCKS, TooOld, Wishes, agree, offered, other_major
from smbfs.fuse.native.questions import InitIn
from smbfs.fuse.native.replies import InitOut
from smbfs.fuse.native.uapi import InitFlag
from smbfs.wire.codec import WireError
from tests.fake.kernel import init


def asked(**more: int) -> InitIn:
    return InitIn.parse(memoryview(init(**more)), 0)


def test_a_new_kernel_gets_all_we_speak() -> None:
    agreed = agree(asked(), Wishes())
    assert agreed.flags == ALWAYS | LOCKS | InitFlag.AUTO_INVAL_DATA
    reply = agreed.reply
    assert (reply.major, reply.minor) == (7, 45)
    assert reply.flags | reply.flags2 << 32 == agreed.flags
    assert (reply.max_background, reply.congestion_threshold) == (64, 48)
    assert (reply.max_write, reply.max_pages, reply.time_gran) == (1 << 20, 256, 100)
    assert reply.max_readahead == 1 << 17
    assert len(bytes(reply)) == 64


def test_an_old_kernel_is_asked_for_less() -> None:
    few = InitFlag.ASYNC_READ | InitFlag.BIG_WRITES | InitFlag.PARALLEL_DIROPS
    agreed = agree(asked(minor=31, flags=few), Wishes())
    assert agreed.minor == 31
    assert agreed.flags == few
    assert agreed.reply.flags2 == 0


def test_a_kernel_to_come_speaks_what_we_do() -> None:
    assert agree(asked(minor=99), Wishes()).minor == 45


def test_one_that_is_too_old_is_refused_with_a_sentence() -> None:
    with pytest.raises(TooOld, match=r"speaks FUSE 7\.30.*transport=pyfuse3") as caught:
        agree(asked(minor=30), Wishes())
    assert caught.value.errno == errno.EPROTO


def test_locks_may_stay_with_the_kernel() -> None:
    assert not agree(asked(), Wishes(locks=False)).flags & LOCKS


def test_where_nobody_else_writes_pages_stay() -> None:
    flags = agree(asked(), Wishes(is_shared=False)).flags
    assert flags & InitFlag.EXPLICIT_INVAL_DATA
    assert not flags & InitFlag.AUTO_INVAL_DATA


def test_wishes_of_the_mount() -> None:
    wishes = Wishes(max_background=5, congestion_threshold=4, max_write=8192, max_readahead=4096)
    reply = agree(asked(), wishes).reply
    assert (reply.max_background, reply.congestion_threshold) == (5, 4)
    assert (reply.max_write, reply.max_pages, reply.max_readahead) == (8192, 2, 4096)


def test_an_init_that_is_cut_off() -> None:
    cut = InitIn(major=7, minor=45, max_readahead=0, flags=InitFlag.INIT_EXT, more=b"\0\0")
    with pytest.raises(WireError):
        offered(cut)


def test_another_major_is_told_ours() -> None:
    told = InitOut.parse(memoryview(bytes(other_major())), 0)
    assert (told.major, told.flags) == (7, 0)
