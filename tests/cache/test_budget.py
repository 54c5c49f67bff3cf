"""The count of bytes in memory never lies."""

import pytest

from smbfs.cache.budget import Budget


def test_room_is_what_was_not_taken() -> None:
    budget = Budget(10)
    budget.take(4)
    assert (budget.used_bytes, budget.room_bytes) == (4, 6)
    budget.give(1)
    assert budget.room_bytes == 7


def test_room_is_never_negative() -> None:
    budget = Budget(10)
    budget.take(25)
    assert budget.room_bytes == 0


def test_more_cannot_be_given_back_than_was_taken() -> None:
    budget = Budget(10)
    budget.take(3)
    with pytest.raises(ValueError, match="4 bytes given back of 3"):
        budget.give(4)


def test_everybody_has_the_same_share() -> None:
    budget = Budget(12)
    assert budget.share_bytes == 12
    budget.holders = 3
    assert budget.share_bytes == 4
