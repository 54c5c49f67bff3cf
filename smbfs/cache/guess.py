"""Who takes things in order, in which order, and what he will take next.

Pure, and only an opinion: a wrong guess costs a few requests and never a wrong answer.  Programs
take the entries of a directory as they were listed, by inode number or by name; which it is shows
after two steps.  Nobody is believed who has not taken steps, whoever leaves the order is not
believed any more, and who leaves lying what was fetched for him gets less.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

STEPS = 2  # in one order, before anything is fetched
FIRST, MOST = 4, 32  # how many are fetched ahead, to begin with and at the end
STRIDE = 3  # what is passed over is no other order: not everything is of interest


def grown(window: int) -> int:
    """The next window of somebody who took what was fetched for him."""
    return min(2 * window, MOST) if window else FIRST


class Order(Generic[T]):
    """One way to go through some things."""

    def __init__(self, items: Sequence[T]) -> None:
        self.items = items
        self.places = {item: place for place, item in enumerate(items)}
        self.steps = 0
        self._last = -2 * STRIDE  # nowhere

    def note(self, item: T) -> None:
        """Note that an item was taken."""
        place = self.places.get(item, -1)
        is_step = place >= 0 and 0 < place - self._last <= STRIDE
        self.steps = self.steps + 1 if is_step else 0
        if place >= 0:
            self._last = place

    def after(self, item: T, count: int) -> Sequence[T]:
        """The next items behind one."""
        place = self.places.get(item, len(self.items)) + 1
        return self.items[place : place + count]


class Reader(Generic[T]):
    """Somebody who takes some of a known number of things, one after the other."""

    def __init__(self, *orders: Sequence[T]) -> None:
        self._orders = [Order(items) for items in orders]
        self._fetched: dict[T, float] = {}  # for him and not taken yet, and when
        self.window = 0

    def knows(self, item: T) -> bool:
        """Whether an item has a place in the orders."""
        return item in self._orders[0].places

    def note(self, item: T, now_s: float, keeps_s: float) -> None:
        """Note that an item was taken; what was fetched longer ago than ``keeps_s`` is wasted."""
        for order in self._orders:
            order.note(item)
        was_guessed = self._fetched.pop(item, None) is not None
        wasted = [one for one, at_s in self._fetched.items() if now_s - at_s > keeps_s]
        for one in wasted:
            del self._fetched[one]
        if max(order.steps for order in self._orders) < STEPS:
            self.window = 0
        elif wasted:
            self.window = max(1, self.window // 2)
        elif was_guessed or not self.window:
            self.window = grown(self.window)

    def ahead(self, item: T) -> list[T]:
        """What he will want after an item and has not been fetched, to be fetched now."""
        if not self.window:
            return []
        order = max(self._orders, key=lambda one: one.steps)
        wanted = [one for one in order.after(item, self.window) if one not in self._fetched]
        # Several at once or none: each by itself would cost as much as to do without.
        is_end = len(order.after(item, self.window)) < self.window
        return wanted if is_end or 2 * len(wanted) >= self.window else []

    def fetching(self, item: T, now_s: float) -> None:
        """Note that an item is being fetched for him."""
        self._fetched[item] = now_s


class Walker(Generic[T]):
    """Somebody who goes from place to place; after each it is known where he may go next."""

    def __init__(self) -> None:
        self._expected: list[T] = []
        self.steps = 0
        self.window = 0

    def note(self, place: T) -> None:
        """Note where he is now."""
        if place not in self._expected[: max(STRIDE, self.window)]:
            self.steps = self.window = 0
            return
        self.steps += 1
        if self.steps >= STEPS:
            self.window = grown(self.window)

    def expects(self, places: list[T]) -> None:
        """Take where he may go next, the likeliest first."""
        self._expected = places
