"""Read-ahead: what is handed out is what the server last said, and the plan keeps to its bounds."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbfs.cache.budget import Budget
from smbfs.cache.pages import START_BYTES, Pages, Piece

KIB = 1024
MIB = 1 << 20


def pages(
    *, budget: int = 64 * MIB, piece: int = MIB, window: int = 8 * MIB, believe_s: float = 1.0
) -> Pages:
    return Pages(Budget(budget), piece, window, believe_s)


def content(offset: int, size: int, end: int = 1 << 40) -> memoryview:
    size = max(0, min(size, end - offset))
    return memoryview(bytes((offset + at) % 251 for at in range(size)))


def serve(kept: Pages, pieces: list[Piece], now: float = 0.0, end: int = 1 << 40) -> None:
    for piece in pieces:
        kept.store(piece, content(piece.offset, piece.size, end), now)


def joined(views: list[memoryview] | None) -> bytes:
    assert views is not None
    return b"".join(views)


def test_nothing_is_here_at_first() -> None:
    assert pages().lookup(0, 10, 0.0) is None


def test_a_piece_that_came_answers_reads_inside_it() -> None:
    kept = pages()
    [piece] = kept.plan(0, 100, 100, 0.0)
    assert (piece.offset, piece.size) == (0, 100)
    serve(kept, [piece])
    assert joined(kept.lookup(10, 20, 0.5)) == bytes(content(10, 20))


def test_a_read_over_two_pieces_is_answered_by_both() -> None:
    kept = pages(piece=8)
    serve(kept, kept.plan(0, 16, 16, 0.0))
    assert joined(kept.lookup(4, 8, 0.0)) == bytes(content(4, 8))


def test_what_was_handed_out_whole_is_given_up() -> None:
    kept = pages()
    serve(kept, kept.plan(0, 10, 10, 0.0))
    assert kept.budget.used_bytes == 10
    kept.lookup(4, 6, 0.0)
    assert kept.budget.used_bytes == 10
    kept.lookup(0, 4, 0.0)
    assert kept.budget.used_bytes == 0
    assert kept.lookup(0, 4, 0.0) is None


def test_a_short_piece_is_the_end_of_the_file() -> None:
    kept = pages()
    serve(kept, kept.plan(0, 100, 100, 0.0), end=60)
    assert joined(kept.lookup(50, 100, 0.0)) == bytes(content(50, 10))
    assert kept.lookup(60, 10, 0.0) == []
    assert kept.lookup(61, 10, 0.0) is None, "that far we did not look"


def test_an_empty_file_is_an_answer_too() -> None:
    kept = pages()
    serve(kept, kept.plan(0, 100, 0, 0.0), end=0)
    assert kept.lookup(0, 100, 0.0) == []


def test_what_is_too_old_is_not_handed_out_and_is_fetched_again() -> None:
    kept = pages(believe_s=1.0)
    serve(kept, kept.plan(0, 10, 10, 0.0), now=0.0)
    assert kept.lookup(0, 5, 1.5) is None
    [again] = kept.plan(0, 5, 10, 1.5)[:1]
    assert (again.offset, again.size) == (0, 5)
    assert kept.budget.used_bytes == 5  # the piece under way, and nothing of the old


def test_a_sequential_reader_gets_a_growing_window() -> None:
    kept = pages()
    ahead = []
    for at in range(4):
        offset = at * 4 * MIB
        pieces = kept.plan(offset, 128 * KIB, 1 << 40, 0.0)
        ahead.append(max(piece.end for piece in pieces) - offset - 128 * KIB)
        for piece in list(kept.coming):
            kept.fail(piece, OSError())
        kept.drop(0, 1 << 40)
        kept._streams[0].next = kept._streams[0].ahead = offset + 4 * MIB
    assert ahead == [START_BYTES, 2 * START_BYTES, 4 * START_BYTES, 8 * START_BYTES]


def test_a_random_reader_gets_what_was_asked() -> None:
    kept = pages()
    [piece] = kept.plan(500 * MIB, 4 * KIB, 1 << 40, 0.0)
    assert (piece.offset, piece.size) == (500 * MIB, 4 * KIB)


def test_reads_out_of_order_are_one_stream() -> None:
    kept = pages()
    kept.plan(0, 128 * KIB, 1 << 40, 0.0)
    kept.plan(256 * KIB, 128 * KIB, 1 << 40, 0.0)
    kept.plan(128 * KIB, 128 * KIB, 1 << 40, 0.0)
    assert len(kept._streams) == 1


def test_two_streams_live_side_by_side_and_a_third_ends_the_oldest() -> None:
    kept = pages()
    for offset in (0, 100 * MIB, 200 * MIB):
        kept.plan(offset, 4 * KIB, 1 << 40, 0.0)
    assert [stream.next for stream in kept._streams] == [200 * MIB + 4096, 100 * MIB + 4096]


def test_nothing_is_fetched_twice() -> None:
    kept = pages()
    first = kept.plan(0, 64 * KIB, 1 << 40, 0.0)
    assert kept.plan(0, 64 * KIB, 1 << 40, 0.0) != first
    spans = sorted((piece.offset, piece.end) for piece in kept.coming)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_nothing_is_read_ahead_beyond_the_file() -> None:
    kept = pages()
    pieces = kept.plan(0, 10, 5000, 0.0)
    assert max(piece.end for piece in pieces) == 5000


def test_a_hit_keeps_the_window_full() -> None:
    kept = pages(piece=64 * KIB)
    serve(kept, kept.plan(0, 64 * KIB, 1 << 40, 0.0))
    assert kept.lookup(0, 64 * KIB, 0.0) is not None
    assert kept.ahead(0, 64 * KIB, 1 << 40) == []
    assert kept.lookup(64 * KIB, 64 * KIB, 0.0) is not None
    more = kept.ahead(64 * KIB, 64 * KIB, 1 << 40)
    assert [piece.offset for piece in more] == [64 * KIB + START_BYTES]


def test_a_hit_outside_of_any_stream_plans_nothing() -> None:
    assert pages().ahead(10, 10, 1000) == []


def test_the_last_bit_of_a_file_is_fetched_though_it_is_small() -> None:
    kept = pages()
    size = 64 * KIB + START_BYTES + 10
    serve(kept, kept.plan(0, 64 * KIB, size, 0.0))
    kept.lookup(0, 64 * KIB, 0.0)
    more = kept.ahead(64 * KIB, 64 * KIB, size)
    assert [(piece.offset, piece.size) for piece in more] == [(64 * KIB + START_BYTES, 10)]


def test_without_room_nothing_is_read_ahead() -> None:
    kept = pages(budget=100)
    pieces = kept.plan(0, 100, 1 << 40, 0.0)
    assert [(piece.offset, piece.size) for piece in pieces] == [(0, 100)]


def test_covering_names_the_pieces_to_wait_for() -> None:
    kept = pages(piece=8)
    pieces = kept.plan(0, 24, 24, 0.0)
    assert kept.covering(7, 2) == pieces[:2]
    assert kept.covering(24, 8) == []


def test_a_write_makes_what_is_under_way_stale() -> None:
    kept = pages(piece=8)
    first, second = kept.plan(0, 16, 16, 0.0)
    kept.drop(9, 1)
    assert kept.covering(0, 16) == [first]
    serve(kept, [first, second])
    assert joined(kept.lookup(0, 4, 0.0)) == bytes(content(0, 4))
    assert kept.lookup(8, 8, 0.0) is None
    assert kept.budget.used_bytes == 8


def test_a_write_drops_what_it_touches_and_the_end_before_it() -> None:
    kept = pages(piece=8)
    serve(kept, kept.plan(0, 24, 24, 0.0), end=20)
    kept.drop(20, 4)
    assert kept.lookup(16, 4, 0.0) is None, "the file does not end there any more"
    assert joined(kept.lookup(0, 16, 0.0)) == bytes(content(0, 16))


def test_a_failed_piece_says_why_and_gives_its_room_back() -> None:
    kept = pages()
    [piece] = kept.plan(0, 10, 10, 0.0)
    kept.fail(piece, OSError(5, "gone"))
    assert str(piece.error) == "[Errno 5] gone"
    assert (kept.coming, kept.budget.used_bytes) == ([], 0)


def test_drop_forgets_everything() -> None:
    kept = pages()
    serve(kept, kept.plan(0, 10, 10, 0.0))
    kept.drop()
    assert (kept.budget.used_bytes, kept.lookup(0, 1, 0.0)) == (0, None)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["read", "write", "expire"]), st.integers(0, 300), st.integers(1, 80)
        ),
        max_size=40,
    )
)
def test_a_read_never_sees_an_old_byte(actions: list[tuple[str, int, int]]) -> None:
    """A small file, a slow server: bytes are versions, pieces arrive late and in odd order."""
    kept = Pages(Budget(1000), 16, 64, 10.0)
    server = bytearray(400)
    under_way: list[tuple[Piece, bytes]] = []
    version, now = 0, 0.0
    for action, offset, size in actions:
        now += 0.1
        if action == "write":
            version = (version + 1) % 256
            kept.drop(offset, size)
            server[offset : offset + size] = bytes([version]) * size
            continue
        if action == "expire":
            kept.expire(now + offset)
            continue
        views = kept.lookup(offset, size, now)
        if views is not None:
            assert joined(views) == server[offset : offset + size]
            continue
        for piece in kept.plan(offset, size, len(server), now):
            under_way.append((piece, bytes(server[piece.offset : piece.end])))
        while len(under_way) > 3:
            piece, data = under_way.pop(len(under_way) // 2)
            kept.store(piece, memoryview(data), now)
    for piece, _ in under_way:
        kept.fail(piece, OSError())
    kept.drop()
    assert kept.budget.used_bytes == 0


def test_the_budget_is_honest_when_pieces_fail() -> None:
    kept = pages()
    for piece in kept.plan(0, MIB, 1 << 40, 0.0):
        kept.fail(piece, OSError())
    with pytest.raises(ValueError, match="given back"):
        kept.budget.give(1)
