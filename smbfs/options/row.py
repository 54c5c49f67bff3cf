"""What a row of the option table is made of, and how one is written in a line.

Knows the classes of options and what becomes of one whose mechanism is not built.  Knows no
option.  ``to`` names the group and field that gets the value, such as ``server.port``; the group
``raw`` is only for `smbfs.options.resolve`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from smbfs.options.values import Parser


class Action(Enum):
    """What smbfs does with an option of mount.cifs; NEW marks the ones that are ours."""

    SUPPORT = "same meaning"
    BETTER = "same meaning, done better"
    ACCEPT = "mapped to our nearest behaviour, said once at debug level"
    IGNORE = "accepted silently, harmless"
    REFUSE = "the mount fails with a sentence"
    NEW = "only in smbfs"


class Until(Enum):
    """What happens to an option whose mechanism is not built yet."""

    HINTS = "it would only have made things faster: taken, and noted at debug level"
    WARNS = "taken, with a warning that says what happens instead"
    FAILS = "something would be wrong without it: refused with a sentence"


@dataclass(frozen=True, slots=True)
class Later:
    """The mechanism comes in a later version; ``instead`` completes the sentence.

    With ``values`` only these wait, a value that ends in ``:`` standing for all that begin so;
    with ``but`` all others wait.
    """

    until: Until
    instead: str
    values: tuple[str, ...] = ()
    but: tuple[str, ...] = ()

    def concerns(self, text: str) -> bool:
        """Whether this value is one of those that are not built."""
        if not self.values:
            return text not in self.but
        return any(
            text == value or (value.endswith(":") and text.startswith(value))
            for value in self.values
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One meaning under all its names; ``read`` is None for a flag, which sets ``sets``."""

    names: tuple[str, ...]
    action: Action
    sets: dict[str, object] = field(default_factory=dict)
    to: str = ""
    read: Parser | None = None
    later: Later | None = None
    refusal: str = ""
    note: str = ""
    warning: str = ""


def flag(
    names: str,
    action: Action,
    to: str = "",
    value: object = True,
    *,
    sets: dict[str, object] | None = None,
    later: Later | None = None,
    note: str = "",
    warning: str = "",
) -> Row:
    """A row without a value: ``to`` becomes ``value``, or all of ``sets`` come true."""
    fields = sets or ({to: value} if to else {})
    return Row(tuple(names.split()), action, fields, later=later, note=note, warning=warning)


def option(
    names: str,
    action: Action,
    read: Parser,
    to: str = "",
    *,
    later: Later | None = None,
    note: str = "",
    warning: str = "",
) -> Row:
    """A row with a value, which ``read`` makes plain and ``to`` receives."""
    return Row(tuple(names.split()), action, {}, to, read, later, note=note, warning=warning)


def refused(names: str, refusal: str, read: Parser | None = None) -> Row:
    """A row that fails the mount with a sentence; ``{name}`` and ``{value}`` are filled in."""
    return Row(tuple(names.split()), Action.REFUSE, read=read, refusal=refusal)


def hints(instead: str, *values: str) -> Later:
    """Not built, and only slower without."""
    return Later(Until.HINTS, instead, values)


def warns(instead: str, *values: str) -> Later:
    """Not built, and worth a warning."""
    return Later(Until.WARNS, instead, values)


def fails(instead: str, *values: str, but: tuple[str, ...] = ()) -> Later:
    """Not built, and wrong without."""
    return Later(Until.FAILS, instead, values, but)
