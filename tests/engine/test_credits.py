"""The credit window: never more out than was granted, never stuck while anything can move."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smbfs.engine.credits import MOST, RESERVE, Credits


def granted(total: int, target: int = 512) -> Credits:
    """A window of ``total`` credits, all of them available."""
    credits = Credits(target)
    assert credits.take_now(1)
    credits.grant(total, 1)
    return credits


def test_a_connection_starts_with_one_credit() -> None:
    credits = Credits()
    assert (credits.available, credits.window, credits.reserve) == (1, 1, 0)
    assert credits.wanted(1) == 512
    assert credits.take_now(1)
    assert not credits.take_now(1, reserved=True)
    assert credits.wanted(1) == 512  # the same after the take


def test_ordinary_requests_leave_the_reserve() -> None:
    credits = granted(20)
    assert credits.largest == 12
    assert credits.take_now(12)
    assert not credits.take_now(1)
    for _ in range(RESERVE):
        assert credits.take_now(1, reserved=True)
    assert not credits.take_now(1, reserved=True)
    assert credits.available == 0
    assert credits.window == 20


def test_with_nothing_under_way_everything_may_be_used() -> None:
    credits = granted(20)
    assert credits.take_now(20)
    assert not credits.take_now(1, reserved=True)


def test_a_refused_take_takes_nothing() -> None:
    credits = granted(5)
    assert not credits.take_now(6)
    assert credits.available == 5


def test_a_tiny_server_has_no_reserve() -> None:
    credits = granted(RESERVE)
    assert credits.largest == RESERVE
    for _ in range(RESERVE):
        assert credits.take_now(1)
    assert credits.available == 0


def test_an_interim_response_gives_the_window_back() -> None:
    credits = granted(1)
    assert credits.take_now(1)
    credits.grant(1, 1)  # STATUS_PENDING
    assert credits.take_now(1)
    credits.grant(0, 0)  # the final response of the first grants nothing and answers nothing new
    assert credits.window == 1


def test_the_last_credit_may_be_taken_away() -> None:
    credits = granted(1)
    seen = [credits.is_starved]
    credits.take_now(1)
    seen.append(credits.is_starved)
    credits.grant(0, 1)
    seen.append(credits.is_starved)
    assert seen == [False, False, True]
    assert credits.largest == 1


def test_a_generous_server_is_clamped() -> None:
    credits = granted(60_000)
    credits.take_now(10)
    credits.grant(65_535, 0)
    assert credits.window == MOST


def test_above_the_target_the_window_shrinks() -> None:
    credits = granted(100, target=64)
    assert credits.wanted(16) == 1
    assert granted(60, target=64).wanted(16) == 20
    assert Credits(100_000).wanted(65_535) == MOST


def test_a_target_is_at_least_one() -> None:
    assert Credits(0).wanted(1) == 1


@pytest.mark.parametrize("charge", [0, -1])
def test_a_charge_is_positive(charge: int) -> None:
    with pytest.raises(ValueError, match="charge of"):
        granted(10).take_now(charge)


@settings(max_examples=60)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("take"), st.integers(1, 40), st.booleans()),
            st.tuples(st.just("grant"), st.integers(0, 65_535), st.booleans()),
        ),
        max_size=60,
    )
)
def test_never_exceeds_grants_never_negative_keeps_the_reserve(
    events: list[tuple[str, int, bool]],
) -> None:
    credits = Credits()
    out: deque[int] = deque()
    given_out, taken = 1, 0
    for event, number, flag in events:
        if event == "take":
            before, reserve = credits.available, credits.reserve
            if credits.take_now(number, reserved=flag):
                if out and not flag:
                    assert credits.available >= reserve
                taken += number
                out.append(number)
            else:
                assert credits.available == before
        else:
            answered = out.popleft() if out and flag else 0
            credits.grant(number, answered)
            given_out += number
        assert taken <= given_out
        assert 0 <= credits.available <= credits.window <= MOST
        assert credits.window - credits.available == sum(out)
        assert 1 <= credits.wanted(1) <= MOST


@settings(max_examples=60)
@given(
    st.integers(1, 40),
    st.lists(st.integers(1, 64), min_size=1, max_size=40),
    st.lists(st.booleans(), min_size=1, max_size=40),
)
def test_no_server_however_tiny_makes_it_stick(
    size: int, asks: list[int], coin: list[bool]
) -> None:
    """A server that never lets the window pass ``size``: all asks, cut to `largest`, get out."""
    credits = granted(size)
    waiting, out = deque(asks), deque[int]()
    flips = 0
    while waiting:
        charge = min(waiting[0], credits.largest)
        may = bool(coin[flips % len(coin)])
        flips += 1
        if (may or not out) and credits.take_now(charge):
            waiting.popleft()
            out.append(charge)
            continue
        assert out, "nothing under way, and nothing may be sent"
        answered = out.popleft()
        credits.grant(answered, answered)
    assert credits.window == size


@given(st.integers(1, 8), st.integers(1, 30))
def test_a_server_that_gives_one_for_everything_ends_up_with_one(first: int, count: int) -> None:
    """The window shrinks below the reserve while requests go on; they still all get out."""
    credits = granted(20)
    for _ in range(count):
        charge = min(first, credits.largest)
        assert credits.take_now(charge)
        credits.grant(1, charge)
    assert credits.window >= 1
