"""Writing behind: order where it matters, large pieces, an error that stays."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smbfs.cache.budget import Budget
from smbfs.cache.dirty import Dirty, DirtyPiece

A, B = "one writer", "another"


def dirty(piece: int = 8) -> Dirty[str]:
    return Dirty(Budget(1000), piece)


def data_of(piece: DirtyPiece[str] | None) -> bytes:
    assert piece is not None
    return b"".join(piece.parts)


def test_neighbours_are_joined_up_to_a_piece() -> None:
    kept = dirty()
    kept.add(A, 0, b"abc")
    kept.add(A, 3, b"def")
    kept.add(A, 6, b"ghi")
    assert [(piece.offset, piece.size) for piece in kept.pieces] == [(0, 6), (6, 3)]
    assert data_of(kept.next_piece(only_full=False)) == b"abcdef"


def test_writers_are_not_mixed() -> None:
    kept = dirty()
    kept.add(A, 0, b"a")
    kept.add(B, 1, b"b")
    assert [piece.writer for piece in kept.pieces] == [A, B]


def test_what_was_sent_does_not_grow() -> None:
    kept = dirty()
    kept.add(A, 0, b"a")
    kept.next_piece(only_full=False)
    kept.add(A, 1, b"b")
    assert [piece.size for piece in kept.pieces] == [1, 1]


def test_the_last_piece_is_held_back_while_it_may_grow() -> None:
    kept = dirty()
    kept.add(A, 0, b"a")
    assert kept.next_piece(only_full=True) is None
    kept.add(A, 1, b"bcdefgh")
    assert data_of(kept.next_piece(only_full=True)) == b"abcdefgh"
    assert kept.next_piece(only_full=True) is None


def test_a_piece_does_not_overtake_one_it_overlaps() -> None:
    kept = dirty()
    kept.add(A, 0, b"old")
    first = kept.next_piece(only_full=False)
    kept.add(A, 1, b"new")
    kept.add(A, 100, b"far")
    assert kept.next_piece(only_full=False) is None
    assert first is not None
    kept.done(first)
    assert data_of(kept.next_piece(only_full=False)) == b"new"
    assert data_of(kept.next_piece(only_full=False)) == b"far"


def test_the_first_error_stays() -> None:
    kept = dirty()
    kept.add(A, 0, b"a")
    kept.add(A, 50, b"b")
    for number in (28, 5):
        piece = kept.next_piece(only_full=False)
        assert piece is not None
        kept.failed(piece, OSError(number, "lost"))
    assert isinstance(kept.error, OSError)
    assert kept.error.errno == 28
    assert (kept.pieces, kept.budget.used_bytes) == ([], 0)


def test_it_knows_what_it_touches_and_how_far_it_reaches() -> None:
    kept = dirty()
    assert (kept.end, kept.under_way) == (0, 0)
    kept.add(A, 10, b"abc")
    assert kept.end == 13
    assert kept.touches(12, 1)
    assert not kept.touches(13, 5)
    assert not kept.touches(0, 10)
    kept.next_piece(only_full=False)
    assert kept.under_way == 1


@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.integers(1, 12), st.sampled_from([A, B])), max_size=25
    ),
    st.data(),
)
def test_the_server_ends_up_with_what_was_written(
    writes: list[tuple[int, int, str]], draw: st.DataObject
) -> None:
    """Pieces are confirmed in any order the rules allow, and the result is that of the order."""
    kept = dirty(piece=16)
    wanted, server = bytearray(64), bytearray(64)
    under_way: list[DirtyPiece[str]] = []

    def confirm() -> None:
        piece = under_way.pop(draw.draw(st.integers(0, len(under_way) - 1)))
        server[piece.offset : piece.end] = data_of(piece)
        kept.done(piece)

    for number, (offset, size, writer) in enumerate(writes):
        data = bytes([number + 1]) * size
        wanted[offset : offset + size] = data
        kept.add(writer, offset, data)
        if draw.draw(st.booleans()):
            while (piece := kept.next_piece(only_full=draw.draw(st.booleans()))) is not None:
                under_way.append(piece)
        if under_way and draw.draw(st.booleans()):
            confirm()
    while kept.pieces:
        while (piece := kept.next_piece(only_full=False)) is not None:
            under_way.append(piece)
        confirm()
    assert server == wanted
    assert kept.budget.used_bytes == 0
