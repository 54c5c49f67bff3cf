"""Guessing what a program will want next: only on evidence, and less after each wrong guess."""

from __future__ import annotations

from smbfs.cache.guess import FIRST, MOST, Reader, Walker

NAMES = [f"{number:03}" for number in range(200)]
KEEPS_S = 1.0


def taken(reader: Reader[str], name: str, now_s: float = 0.0) -> list[str]:
    """Take one; what is fetched then."""
    reader.note(name, now_s, KEEPS_S)
    wanted = reader.ahead(name)
    for one in wanted:
        reader.fetching(one, now_s)
    return wanted


def test_two_steps_are_evidence() -> None:
    reader = Reader(NAMES)
    assert taken(reader, "000") == []
    assert taken(reader, "001") == []
    assert taken(reader, "002") == NAMES[3 : 3 + FIRST]


def test_more_is_fetched_for_who_takes_it_and_nothing_twice() -> None:
    reader, fetched = Reader(NAMES), list[str]()
    for name in NAMES:
        fetched += taken(reader, name)
    assert fetched == NAMES[3:]
    assert reader.window == MOST


def test_requests_go_out_several_at_once() -> None:
    reader = Reader(NAMES)
    sizes = [len(wanted) for name in NAMES if (wanted := taken(reader, name))]
    assert len(sizes) < 20
    assert max(sizes) <= MOST


def test_the_order_shows_by_itself() -> None:
    numbers, names = ["c", "a", "e", "b", "d", "f"], ["a", "b", "c", "d", "e", "f"]
    reader = Reader(numbers, names)
    for name in ("a", "b"):
        assert taken(reader, name) == []
    assert taken(reader, "c") == ["d", "e", "f"]


def test_who_jumps_about_is_left_alone() -> None:
    reader = Reader(NAMES)
    for number in (5, 90, 17, 180, 3, 60, 61, 20):
        assert taken(reader, NAMES[number]) == []


def test_who_leaves_the_order_is_not_believed_any_more() -> None:
    reader = Reader(NAMES)
    for name in NAMES[:10]:
        taken(reader, name)
    assert taken(reader, NAMES[150]) == []
    assert reader.window == 0


def test_what_is_passed_over_is_no_other_order() -> None:
    reader = Reader(NAMES)
    taken(reader, "000")
    taken(reader, "003")
    assert taken(reader, "005")


def test_who_leaves_lying_what_was_fetched_gets_less() -> None:
    reader = Reader(NAMES)
    for name in NAMES[:20]:
        taken(reader, name)
    before = reader.window
    taken(reader, NAMES[20], now_s=KEEPS_S + 0.1)  # all that was fetched is too old
    assert reader.window == before // 2


def test_a_name_nobody_knows() -> None:
    reader = Reader(NAMES)
    assert not reader.knows("new")
    assert taken(reader, "new") == []


def test_a_walker_is_believed_after_two_steps() -> None:
    walker: Walker[int] = Walker()
    walker.note(0)
    walker.expects([1, 2, 3])
    walker.note(1)
    assert walker.window == 0
    walker.expects([2, 3, 4])
    walker.note(2)
    assert walker.window == FIRST
    walker.expects([3, 4, 5, 6])
    walker.note(4)
    assert walker.window == 2 * FIRST, "he need not go everywhere"
    walker.note(99)
    assert (walker.window, walker.steps) == (0, 0)
