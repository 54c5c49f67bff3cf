"""Read-ahead: what is handed out is what the server last said, and the plan keeps to its bounds."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbfs.cache.budget import Budget
from smbfs.cache.pages import MOST_HOLES, Pages, Piece
from smbfs.cache.streams import START_BYTES

KIB = 1024
MIB = 1 << 20
FAR = 1 << 40


def pages(
    *, budget: int = 64 * MIB, piece: int = MIB, window: int = 8 * MIB, believe_s: float = 1.0
) -> Pages:
    return Pages(Budget(budget), piece, window, believe_s)


def content(offset: int, size: int, end: int = FAR) -> memoryview:
    size = max(0, min(size, end - offset))
    return memoryview(bytes((offset + at) % 251 for at in range(size)))


def serve(kept: Pages, pieces: list[Piece], now: float = 0.0, end: int = FAR) -> None:
    for piece in pieces:
        kept.store(piece, content(piece.offset, piece.size, end), now, may_be_last=True)


def joined(views: list[memoryview] | None) -> bytes:
    assert views is not None
    return b"".join(views)


def spans(pieces: list[Piece]) -> list[tuple[int, int]]:
    return [(piece.offset, piece.end) for piece in pieces]


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
    assert (kept.budget.used_bytes, kept.budget.holders) == (10, 1)
    kept.lookup(0, 4, 0.0)
    assert (kept.budget.used_bytes, kept.budget.holders) == (0, 0)
    assert kept.lookup(0, 4, 0.0) is None


def test_a_short_piece_is_the_end_of_the_file() -> None:
    kept = pages()
    serve(kept, kept.plan(0, 100, 100, 0.0), end=60)
    assert joined(kept.lookup(50, 100, 0.0)) == bytes(content(50, 10))
    assert kept.lookup(60, 10, 0.0) == []
    assert kept.lookup(1000, 10, 0.0) == []


def test_a_short_piece_is_no_end_while_somebody_writes_behind_it() -> None:
    kept = pages()
    [piece] = kept.plan(0, 100, 100, 0.0)
    kept.store(piece, content(0, 60), 0.0, may_be_last=False)
    assert joined(kept.lookup(0, 60, 0.0)) == bytes(content(0, 60))
    assert kept.lookup(50, 100, 0.0) is None


def test_an_empty_file_is_an_answer_too() -> None:
    kept = pages()
    serve(kept, kept.plan(0, 100, 0, 0.0), end=0)
    assert kept.lookup(0, 100, 0.0) == []
    assert kept.lookup(7, 100, 0.0) == []
    kept.drop(0, 10)
    assert kept.lookup(0, 100, 0.0) is None


def test_an_empty_answer_that_is_no_end_is_nothing() -> None:
    kept = pages()
    [piece] = kept.plan(0, 100, 0, 0.0)
    kept.drop(500, 1)
    serve(kept, [piece], end=0)
    assert kept.lookup(0, 100, 0.0) is None


def test_nothing_is_behind_the_end() -> None:
    """The file was cut by another while pieces of it were under way, which came in any order."""
    kept = pages(piece=8)
    first, second, third = kept.plan(0, 24, 24, 0.0)
    serve(kept, [third])
    serve(kept, [second], end=12)
    assert kept.lookup(16, 8, 0.0) == []
    serve(kept, [first])
    assert joined(kept.lookup(0, 11, 0.0)) == bytes(content(0, 11))
    [beyond] = kept.plan(100, 8, 0, 0.0)
    serve(kept, [beyond], end=12)
    assert kept.lookup(12, 8, 0.0) == kept.lookup(104, 1, 0.0) == []


def test_an_end_is_none_if_something_came_from_behind_it() -> None:
    kept = pages(piece=8)
    first, second = kept.plan(0, 16, 16, 0.0)
    serve(kept, [first], end=5)
    serve(kept, [second])
    assert kept.lookup(0, 8, 0.0) is None
    assert joined(kept.lookup(8, 8, 0.0)) == bytes(content(8, 8))


def test_nothing_is_read_ahead_behind_a_known_end() -> None:
    kept = pages()
    pieces = kept.plan(0, 100, 0, 0.0)
    serve(kept, pieces, end=50)
    assert spans(kept.plan(0, 50, 5000, 0.0)) == []
    assert kept.ahead(0, 120, 5000) == []


def test_what_is_too_old_is_not_handed_out_and_is_fetched_again() -> None:
    kept = pages(believe_s=1.0)
    serve(kept, kept.plan(0, 10, 10, 0.0), now=0.0)
    assert kept.lookup(0, 5, 1.5) is None
    [again] = kept.plan(0, 5, 10, 1.5)[:1]
    assert (again.offset, again.size) == (0, 5)
    assert kept.budget.used_bytes == 5  # the piece under way, and nothing of the old


def test_what_came_after_a_read_began_is_never_too_old_for_it() -> None:
    kept = pages(believe_s=0.0)
    serve(kept, kept.plan(0, 10, 10, 5.0), now=9.0)
    assert kept.lookup(0, 5, 5.0) is not None
    assert kept.lookup(0, 5, 9.1) is None


def test_a_sequential_reader_gets_a_growing_window() -> None:
    kept = pages(window=8 * START_BYTES)
    windows = []
    for offset in range(0, 5 * KIB, KIB):
        pieces = kept.plan(offset, KIB, FAR, 0.0)
        windows.append((pieces[-1].end - offset - KIB) // START_BYTES)
        for piece in pieces:
            kept.fail(piece, OSError())
    assert windows == [1, 2, 4, 8, 8]


def test_bytes_that_grow_old_unread_make_the_window_smaller() -> None:
    """A film is read slowly: what is fetched a minute ahead is thrown away and fetched again."""
    kept = pages(believe_s=1.0)
    fetched = now = at = 0.0
    for _ in range(300):
        now, offset = now + 0.1, int(at)
        if is_hit := kept.lookup(offset, 100 * KIB, now) is not None:
            pieces = kept.ahead(offset, 100 * KIB, FAR)
        else:
            pieces = kept.plan(offset, 100 * KIB, FAR, now)
        fetched += sum(piece.size for piece in pieces)
        for piece in pieces:
            kept.store(piece, memoryview(bytes(piece.size)), now, may_be_last=True)
        assert is_hit or kept.lookup(offset, 100 * KIB, now) is not None
        at += 100 * KIB
        if at == 20 * 100 * KIB:
            kept.streams._streams[0].window = 8 * MIB  # it had a fast reader before
    assert fetched < 1.5 * at


def test_a_random_reader_gets_what_was_asked() -> None:
    kept = pages()
    assert spans(kept.plan(500 * MIB, 4 * KIB, FAR, 0.0)) == [(500 * MIB, 500 * MIB + 4 * KIB)]


def test_nothing_is_fetched_twice() -> None:
    kept = pages()
    first = kept.plan(0, 64 * KIB, FAR, 0.0)
    assert first
    assert kept.plan(0, 64 * KIB, FAR, 0.0) == []
    kept.plan(64 * KIB, 64 * KIB, FAR, 0.0)
    under_way = sorted(spans(kept.coming))
    assert all(end <= start for (_, end), (start, _) in pairwise(under_way))


def test_nothing_is_read_ahead_beyond_the_file() -> None:
    kept = pages()
    pieces = kept.plan(0, 10, 5000, 0.0)
    assert max(piece.end for piece in pieces) == 5000


def test_a_hit_keeps_the_window_full() -> None:
    kept = pages(piece=64 * KIB)
    serve(kept, kept.plan(0, 64 * KIB, FAR, 0.0))
    assert kept.lookup(0, 64 * KIB, 0.0) is not None
    assert kept.ahead(0, 64 * KIB, FAR) == [], "that was noted already"
    assert kept.lookup(64 * KIB, 32 * KIB, 0.0) is not None
    assert kept.ahead(64 * KIB, 32 * KIB, FAR) == [], "not worth asking"
    assert kept.lookup(96 * KIB, 32 * KIB, 0.0) is not None
    more = kept.ahead(96 * KIB, 32 * KIB, FAR)
    assert [piece.offset for piece in more] == [64 * KIB + START_BYTES]


def test_a_hit_outside_of_any_stream_plans_nothing() -> None:
    assert pages().ahead(10, 10, 1000) == []


def test_the_last_bit_of_a_file_is_fetched_though_it_is_small() -> None:
    kept = pages()
    size = 64 * KIB + START_BYTES + 10
    serve(kept, kept.plan(0, 64 * KIB, size, 0.0))
    more = kept.ahead(64 * KIB, 64 * KIB, size)
    assert [(piece.offset, piece.size) for piece in more] == [(64 * KIB + START_BYTES, 10)]


def test_without_room_nothing_is_read_ahead() -> None:
    kept = pages(budget=100)
    pieces = kept.plan(0, 100, FAR, 0.0)
    assert [(piece.offset, piece.size) for piece in pieces] == [(0, 100)]


def test_many_readers_share_the_room() -> None:
    budget = Budget(8 * MIB)
    files = [Pages(budget, MIB, 8 * MIB, 1.0) for _ in range(8)]
    for kept in files:
        kept.plan(0, KIB, FAR, 0.0)
    for kept in files:
        kept.streams._streams[0].window = 8 * MIB
        kept.plan(KIB, KIB, FAR, 0.0)
    assert all(kept.held_bytes > 500 * KIB for kept in files)
    assert budget.used_bytes <= budget.limit_bytes + 16 * KIB


def test_covering_names_the_pieces_to_wait_for() -> None:
    kept = pages(piece=8)
    pieces = kept.plan(0, 24, 24, 0.0)
    assert kept.covering(7, 2) == pieces[:2]
    assert kept.covering(24, 8) == []


def test_a_write_makes_a_hole_in_what_is_under_way() -> None:
    kept = pages()
    [piece] = kept.plan(0, 24, 24, 0.0)
    kept.drop(9, 1)
    assert kept.covering(0, 16) == [piece]
    serve(kept, [piece])
    assert joined(kept.lookup(0, 8, 0.0)) == bytes(content(0, 8))
    assert kept.lookup(8, 8, 0.0) is None
    assert spans(kept.plan(8, 8, 24, 0.0)) == [(9, 10)]
    assert joined(kept.lookup(10, 14, 0.0)) == bytes(content(10, 14))


def test_what_is_riddled_is_not_worth_keeping() -> None:
    kept = pages()
    [piece] = kept.plan(0, 1000, 1000, 0.0)
    for number in range(MOST_HOLES):
        kept.drop(number * 10, 2)
        kept.drop(number * 10 + 2, 2)  # goes on where the last one ended
    assert not piece.is_stale
    kept.drop(900, 1)
    assert piece.is_stale
    serve(kept, [piece])
    assert (kept.lookup(500, 1, 0.0), kept.budget.used_bytes) == (None, 0)


def test_a_short_answer_is_no_end_if_we_wrote_behind_it_meanwhile() -> None:
    kept = pages()
    [piece] = kept.plan(0, 100, 100, 0.0)
    kept.drop(5000, 1)
    serve(kept, [piece], end=60)
    assert kept.lookup(0, 100, 0.0) is None
    assert joined(kept.lookup(0, 60, 0.0)) == bytes(content(0, 60))


def test_a_write_before_a_piece_does_not_concern_it() -> None:
    kept = pages()
    [piece] = kept.plan(50, 100, 100, 0.0)
    kept.drop(0, 50)
    serve(kept, [piece], end=100)
    assert joined(kept.lookup(50, 100, 0.0)) == bytes(content(50, 50))


def test_a_write_takes_out_what_it_touches_and_moves_the_end() -> None:
    kept = pages()
    serve(kept, kept.plan(0, 24, 24, 0.0), end=20)
    kept.drop(4, 4)
    kept.drop(4, 4)
    assert joined(kept.lookup(8, 16, 0.0)) == bytes(content(8, 12)), "it ends there as before"
    kept.drop(30, 4)
    assert kept.lookup(19, 4, 0.0) is None, "the file does not end there any more"
    assert joined(kept.lookup(0, 4, 0.0)) == bytes(content(0, 4))


def test_memory_is_counted_until_its_last_part_is_gone() -> None:
    kept = pages()
    serve(kept, kept.plan(0, 100, 100, 0.0))
    kept.drop(50, 1)
    kept.drop(0, 50)
    assert kept.budget.used_bytes == 100
    kept.drop(51, 49)
    assert kept.budget.used_bytes == 0


def test_a_failed_piece_says_why_and_gives_its_room_back() -> None:
    kept = pages()
    [piece] = kept.plan(0, 10, 10, 0.0)
    kept.fail(piece, OSError(5, "gone"))
    assert str(piece.error) == "[Errno 5] gone"
    assert (kept.coming, kept.budget.used_bytes) == ([], 0)


def test_drop_forgets_everything() -> None:
    kept = pages(piece=8)
    first, second = kept.plan(0, 16, 16, 0.0)
    serve(kept, [first])
    kept.drop()
    assert kept.covering(0, 16) == []
    serve(kept, [second])
    assert (kept.budget.used_bytes, kept.lookup(8, 1, 0.0)) == (0, None)


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["read", "read", "write", "expire", "cut", "answer", "shed"]),
        st.integers(0, 300),
        st.integers(1, 80),
    ),
    max_size=40,
)


@given(ACTIONS)
def test_a_read_never_sees_an_old_byte(actions: list[tuple[str, int, int]]) -> None:
    """A small file, a slow server: bytes are versions, pieces arrive late and in odd order."""
    kept = Pages(Budget(1000), 16, 64, 10.0)
    server = bytearray(200)
    under_way: list[tuple[Piece, bytes]] = []
    version, now = 0, 0.0

    def answer(number: int) -> None:
        piece, data = under_way.pop(number % len(under_way))
        kept.store(piece, memoryview(data), now, may_be_last=True)

    for action, offset, size in actions:
        now += 0.1
        match action:
            case "write":
                version += 1
                kept.drop(offset, size)
                server.extend(bytes(max(0, offset - len(server))))
                server[offset : offset + size] = bytes([version]) * size
            case "expire":
                kept.expire(now + offset / 10)
            case "cut":
                del server[offset:]
                kept.drop()
            case "shed":
                kept.shed()
            case "answer" if under_way:
                answer(offset)
            case "read":
                views = kept.lookup(offset, size, now)
                if views is not None:
                    assert joined(views) == server[offset : offset + size]
                    pieces = kept.ahead(offset, size, len(server))
                else:
                    pieces = kept.plan(offset, size, len(server), now)
                under_way += [(piece, bytes(server[piece.offset : piece.end])) for piece in pieces]
    assert [piece for piece, _ in under_way] == kept.coming
    for piece, _ in under_way:
        kept.fail(piece, OSError())
    kept.drop()
    assert (kept.budget.used_bytes, kept.budget.holders) == (0, 0)


def test_the_budget_is_honest_when_pieces_fail() -> None:
    kept = pages()
    for piece in kept.plan(0, MIB, FAR, 0.0):
        kept.fail(piece, OSError())
    with pytest.raises(ValueError, match="given back"):
        kept.budget.give(1)
