"""Writing behind: order where it matters, large pieces, an error that stays."""

from __future__ import annotations

import tracemalloc
from random import Random
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbfs.cache.budget import Budget
from smbfs.cache.dirty import OVERHEAD_BYTES, SMALL_BYTES, Data, Dirty, DirtyPiece, room_for

A, B = "one writer", "another"
MIB = 1 << 20
FULL = 8  # bytes of a piece


class Kept:
    """The writes of one file, with the room they take."""

    def __init__(self, piece: int = FULL) -> None:
        self.room = Budget(1 << 62)
        self.dirty: Dirty[str] = Dirty(piece, self.room.give)

    def add(self, writer: str, offset: int, data: Data) -> None:
        self.room.take(room_for(len(data)))
        self.dirty.add(writer, offset, data)
        assert self.room.used_bytes == self.dirty.room

    def next(self, least: int = 0) -> DirtyPiece[str]:
        piece = self.dirty.next_piece(least)
        assert piece is not None
        return piece

    def rest(self) -> list[tuple[int, bytes]]:
        """All that waits, sent and confirmed one after the other."""
        found = []
        while (piece := self.dirty.next_piece()) is not None:
            found.append((piece.offset, data_of(piece)))
            self.dirty.done(piece)
        assert self.room.used_bytes == 0
        return found


def data_of(piece: DirtyPiece[str]) -> bytes:
    data = b"".join(piece.parts)
    assert len(data) == piece.size
    return data


def test_neighbours_are_joined_up_to_a_piece() -> None:
    kept = Kept()
    kept.add(A, 0, b"abc")
    kept.add(A, 3, b"def")
    kept.add(A, 6, b"ghi")
    assert kept.rest() == [(0, b"abcdef"), (6, b"ghi")]


def test_large_parts_are_kept_as_they_are() -> None:
    kept = Kept(piece=MIB)
    large = memoryview(bytes(SMALL_BYTES))
    for offset, data in ((0, large), (SMALL_BYTES, b"a"), (SMALL_BYTES + 1, b"b")):
        kept.add(A, offset, data)
    kept.add(A, SMALL_BYTES + 2, large)
    piece = kept.next()
    assert [len(part) for part in piece.parts] == [SMALL_BYTES, 2, SMALL_BYTES]
    assert piece.parts[0] is large
    assert piece.parts[2] is large


def test_writers_are_not_mixed() -> None:
    kept = Kept()
    kept.add(A, 0, b"a")
    kept.add(B, 1, b"b")
    assert [kept.next().writer, kept.next().writer] == [A, B]


def test_a_large_part_can_be_written_over_in_its_middle() -> None:
    kept = Kept(piece=MIB)
    kept.add(A, 0, bytes(SMALL_BYTES))
    kept.add(A, SMALL_BYTES, bytes(SMALL_BYTES))
    kept.add(A, SMALL_BYTES - 1, b"ab")
    kept.add(A, 0, b"c")
    assert kept.rest() == [(0, b"c" + bytes(SMALL_BYTES - 2) + b"ab" + bytes(SMALL_BYTES - 1))]


def test_what_was_sent_does_not_grow() -> None:
    kept = Kept()
    kept.add(A, 0, b"a")
    first = kept.next()
    kept.add(A, 1, b"b")
    assert (first.size, kept.next().size) == (1, 1)


def test_what_was_written_to_last_is_held_back_while_it_may_grow() -> None:
    kept = Kept()
    kept.add(A, 0, b"a")
    assert kept.dirty.next_piece(FULL) is None
    kept.add(A, 1, b"bcdefgh")
    assert data_of(kept.next(FULL)) == b"abcdefgh"
    assert kept.dirty.next_piece(FULL) is None


def test_a_piece_that_is_not_written_to_any_more_is_not_held_back() -> None:
    kept = Kept()
    kept.add(A, 0, b"a")
    kept.add(A, 100, b"b")
    assert kept.next(FULL).offset == 0
    assert kept.dirty.next_piece(FULL) is None
    kept.add(A, 50, b"c")
    kept.add(A, 100, b"d")  # in place
    assert kept.dirty.next_piece(FULL) is None


def test_a_piece_does_not_overtake_one_it_overlaps() -> None:
    kept = Kept()
    kept.add(A, 0, b"old")
    first = kept.next()
    kept.add(A, 1, b"new")
    kept.add(A, 100, b"far")
    assert kept.dirty.next_piece() is None
    kept.dirty.done(first)
    assert kept.rest() == [(1, b"new"), (100, b"far")]


@pytest.mark.parametrize("writer", [A, B])
@pytest.mark.parametrize(
    ("offset", "data", "wanted"),
    [
        (10, b"ABCDE", [(10, b"ABCDE")]),
        (8, b"ABCDEFGHI", [(8, b"ABCDEFGHI")]),
        (11, b"B", [(10, b"aBcde")]),
        (8, b"AB", [(8, b"AB"), (10, b"abcde")]),
        (9, b"AB", [(9, b"AB"), (11, b"bcde")]),
        (14, b"AB", [(10, b"abcd"), (14, b"AB")]),
        (15, b"AB", [(10, b"abcde"), (15, b"AB")]),
    ],
)
def test_new_bytes_take_the_place_of_old_ones(
    writer: str, offset: int, data: bytes, wanted: list[tuple[int, bytes]]
) -> None:
    kept = Kept(piece=100)
    kept.add(A, 10, b"abcde")
    kept.add(writer, offset, data)
    image, expected = bytearray(40), bytearray(40)
    for at, part in wanted:
        expected[at : at + len(part)] = part
    for at, part in kept.rest():
        assert not any(image[at : at + len(part)]), "pieces that wait never overlap"
        image[at : at + len(part)] = part
    assert image == expected


def test_a_piece_can_be_replaced_in_its_middle_by_another_writer() -> None:
    kept = Kept(piece=100)
    kept.add(A, 0, b"abcdef")
    kept.add(B, 2, b"XY")
    found = [kept.next() for _ in range(3)]
    assert sorted((one.offset, one.writer, data_of(one)) for one in found) == [
        (0, A, b"ab"),
        (2, B, b"XY"),
        (4, A, b"ef"),
    ]


def test_one_write_can_replace_many() -> None:
    kept = Kept(piece=4)
    for offset in range(0, 40, 2):
        kept.add(A, offset, b"a")
    kept.add(A, 5, b"Z" * 30)
    rests = [(offset, b"a") for offset in (0, 2, 4, 36, 38)]
    assert sorted(kept.rest()) == sorted([*rests, (5, b"Z" * 30)])


def test_who_waits_for_a_write_waits_for_what_took_its_place() -> None:
    kept = Kept(piece=100)
    kept.add(A, 50, b"under way")
    blocking = kept.next()
    kept.add(A, 0, b"old")
    serial = kept.dirty.serial
    kept.add(B, 0, b"new")
    assert not kept.dirty.is_confirmed(serial)
    kept.dirty.done(blocking)
    assert not kept.dirty.is_confirmed(serial)
    assert not kept.dirty.is_clear(0, 3, serial)
    piece = kept.next()
    assert not kept.dirty.is_confirmed(serial)
    assert not kept.dirty.is_clear(2, 9, serial)
    kept.dirty.done(piece)
    assert kept.dirty.is_confirmed(serial)


def test_a_piece_that_is_joined_to_inherits_who_waits() -> None:
    kept = Kept(piece=100)
    kept.add(A, 3, b"def")  # 1
    kept.add(A, 0, b"abc")  # 2
    kept.add(A, 3, b"DEFG")  # takes the place of 1, and goes on where 2 ends
    assert not kept.dirty.is_confirmed(1)
    assert data_of(kept.next()) == b"abcDEFG"
    assert not kept.dirty.is_confirmed(1)


def test_who_waits_does_not_wait_for_what_came_later() -> None:
    kept = Kept()
    kept.add(A, 0, b"mine")
    serial = kept.dirty.serial
    piece = kept.next()
    kept.add(A, 0, b"later")
    kept.add(A, 100, b"later")
    kept.dirty.done(piece)
    assert kept.dirty.is_confirmed(serial)
    assert kept.dirty.is_clear(0, 200, serial)
    assert kept.dirty.touches(0, 200)


def test_the_first_error_stays() -> None:
    kept = Kept()
    kept.add(A, 0, b"a")
    kept.add(A, 50, b"b")
    for number in (28, 5):
        piece = kept.next()
        kept.dirty.failed(piece, OSError(number, "lost"))
        assert isinstance(piece.error, OSError)
        assert piece.error.errno == number
    assert isinstance(kept.dirty.error, OSError)
    assert kept.dirty.error.errno == 28
    assert not kept.dirty
    assert kept.room.used_bytes == 0


def test_the_error_of_a_write_that_is_awaited_does_not_stay() -> None:
    kept = Kept()
    piece = kept.dirty.through(A, 0, b"abc")
    assert (kept.dirty.end, kept.dirty.room) == (3, 0)
    assert kept.dirty.touches(2, 1)
    kept.dirty.failed(piece, OSError(28, "full"))
    assert kept.dirty.error is None
    assert not kept.dirty.has_lost(0, 3), "its caller knows"
    assert not kept.dirty


def test_it_knows_what_it_touches_and_how_far_it_reaches() -> None:
    kept = Kept()
    assert kept.dirty.end == 0
    assert not kept.dirty
    kept.add(A, 10, b"abc")
    assert kept.dirty
    assert kept.dirty.end == 13
    assert kept.dirty.touches(12, 1)
    assert not kept.dirty.touches(13, 5)
    assert not kept.dirty.touches(0, 10)
    kept.next()
    kept.add(A, 1, b"a")
    assert kept.dirty.end == 13


def test_small_writes_are_cheap() -> None:
    kept = Kept(piece=MIB)
    started = process_time()
    for offset in range(30_000):
        kept.add(A, offset, b"x")
        kept.dirty.next_piece(MIB)
        kept.dirty.touches(offset, 1)
    assert process_time() - started < 5  # some 0.1 s; were it quadratic, minutes
    piece = kept.next()
    assert (piece.size, len(piece.parts)) == (30_000, 1)
    assert kept.dirty.room == 30_000 + OVERHEAD_BYTES


def test_scattered_writes_are_cheap_too() -> None:
    kept = Kept(piece=MIB)
    started = process_time()
    for number in range(6_000):
        kept.add(A, number * 7919 % 6_000 * 10, b"x")
        kept.dirty.next_piece(MIB) if number < 8 else None
        kept.dirty.touches(number, 1)
        assert not kept.dirty.is_confirmed(1)
    assert process_time() - started < 5


def test_what_is_written_over_and_over_takes_no_more_room() -> None:
    kept = Kept(piece=MIB)
    kept.add(A, 0, b"blocks the rest")
    kept.next()
    for number in range(10_000):
        kept.add((A, B)[number % 2], 5 + number % 3, b"%d" % number)
    assert kept.room.used_bytes < 100 * OVERHEAD_BYTES
    assert len(kept.dirty._ages) < 200


def test_a_rest_does_not_keep_the_whole_in_memory() -> None:
    kept = Kept(piece=MIB)
    tracemalloc.start()
    try:
        for offset in range(40):
            kept.add(A, offset, bytes(MIB))
        assert tracemalloc.get_traced_memory()[0] < 3 * MIB
    finally:
        tracemalloc.stop()


WRITES = st.lists(
    st.tuples(st.integers(0, 30), st.integers(1, 12), st.sampled_from([A, B])), max_size=25
)


@given(WRITES, st.randoms(use_true_random=False))
def test_the_server_ends_up_with_what_was_written(
    writes: list[tuple[int, int, str]], chance: Random
) -> None:
    """Pieces are confirmed in any order the rules allow, and the result is that of the order."""
    kept = Kept(piece=16)
    wanted, server = bytearray(64), bytearray(64)
    under_way: list[DirtyPiece[str]] = []
    promised: list[tuple[int, bytes]] = []  # what was there when a number was the latest

    def confirm() -> None:
        piece = under_way.pop(chance.randrange(len(under_way)))
        server[piece.offset : piece.end] = data_of(piece)
        kept.dirty.done(piece)
        for serial, image in promised:
            if kept.dirty.is_confirmed(serial):
                newer = [at for at in range(64) if server[at] < image[at]]
                assert not newer, "an old byte stands where a newer one was confirmed"

    def send(only_full: bool) -> None:
        while (piece := kept.dirty.next_piece(16 if only_full else 0)) is not None:
            assert not any(other.overlaps(piece.offset, piece.end) for other in under_way)
            under_way.append(piece)

    for number, (offset, size, writer) in enumerate(writes):
        data = bytes([number + 1]) * size
        wanted[offset : offset + size] = data
        kept.add(writer, offset, data)
        promised.append((kept.dirty.serial, bytes(wanted)))
        if chance.random() < 0.5:
            send(chance.random() < 0.5)
        if under_way and chance.random() < 0.5:
            confirm()
    while kept.dirty:
        send(False)
        confirm()
    assert server == wanted
    assert kept.room.used_bytes == kept.dirty.room == 0
    assert kept.dirty.is_confirmed(kept.dirty.serial)
