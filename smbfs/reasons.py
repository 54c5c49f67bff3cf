"""Why there is no mount, or no more of one, as it is told to the user."""

from __future__ import annotations

from collections.abc import Iterator


class MountFailed(Exception):
    """The mount cannot be; the text is one sentence for the user."""

    def __init__(self, sentence: str, *, is_unreachable: bool = False) -> None:
        super().__init__(sentence)
        self.is_unreachable = is_unreachable  # what `nofail` forgives


class Interrupted(Exception):
    """Somebody wanted an end before the mount answered, or wanted it faster than is safe."""


def reason_of(error: BaseException) -> BaseException:
    """What to tell of a group of exceptions: the one that is meant for the user, or the only one.

    A group that says several things stays as it is.
    """
    leaves = list(_leaves(error))
    for kind in (MountFailed, Interrupted):
        for leaf in leaves:
            if isinstance(leaf, kind):
                return leaf
    return leaves[0] if len(leaves) == 1 else error


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error
