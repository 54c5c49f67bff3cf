"""From the words of a mount to `MountOptions`.

`split` cuts the option strings, `take` reads one option by its row, and `smbfs.options.resolve`
decides what all of them mean together.  Nothing is logged: what is worth saying is collected.

Easily broken: the text of an unknown option may be the second half of a password.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from smbfs.options import refusals
from smbfs.options.model import MountOptions, Note
from smbfs.options.refusals import OptionError
from smbfs.options.resolve import Caller, Given, resolve
from smbfs.options.row import Later, Row, Until
from smbfs.options.share import parse_service
from smbfs.options.table import FOREIGN, SECURITY, find, nearest

SECRETS = ("login.password", "login.password2")
QUOTED = re.compile(r'"([^"]*)"(?=,|$)')


class Item(NamedTuple):
    """One option as it was written; ``value`` is None without a ``=``."""

    name: str
    value: str | None


@dataclass(slots=True)
class Draft:
    """What has been read so far.  Last wins, so ``fields`` simply holds the last."""

    sloppy: bool
    fields: dict[str, object] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    notes: dict[Note, None] = field(default_factory=dict)
    unbuilt: str = ""  # raised last: a bad value or a conflict is the better answer

    def warn(self, text: str) -> None:
        """Remember something that the user should see; said once."""
        self.notes[Note(logging.WARNING, text)] = None

    def mention(self, text: str) -> None:
        """Remember something for those who look closely; said once."""
        self.notes[Note(logging.DEBUG, text)] = None


def parse(
    service: str,
    option_strings: Iterable[str],
    *,
    sloppy: bool = False,
    is_root: bool | None = None,
    uid: int | None = None,
    gid: int | None = None,
    others_allowed: bool = True,
    share_needed: bool = True,
) -> MountOptions:
    """Read what a mount was asked for, raises OptionError.

    Who asks is this process unless it is said.  ``others_allowed`` tells whether users may give
    others access (``user_allow_other`` in ``/etc/fuse.conf``).  Without ``share_needed`` a server
    alone will do, and the share is empty.
    """
    uid = os.getuid() if uid is None else uid
    gid = os.getgid() if gid is None else gid
    caller = Caller(uid == 0 if is_root is None else is_root, uid, gid, others_allowed)
    items = [item for text in option_strings for item in split(text)]
    draft = Draft(sloppy or Item("sloppy", None) in items)
    before: Row | None = None
    for item in items:
        before = take(draft, item, before)
    given = Given(parse_service(service), draft.fields, frozenset(draft.names), caller)
    options, notes = resolve(given)
    if draft.unbuilt:
        raise OptionError(draft.unbuilt)
    if share_needed and not options.service.share:
        raise OptionError(f"`{service}` names no share: write //{options.service.server}/SHARE.")
    return replace(options, notes=(*draft.notes, *notes))


def split(text: str) -> Iterator[Item]:
    """Cut a list of options at its commas; a value in double quotes may contain some."""
    at = 0
    while at < len(text):
        end = text.find(",", at)
        end = len(text) if end < 0 else end
        name, equals, value = text[at:end].partition("=")
        if value.startswith('"'):
            start = at + len(name) + 1
            match = QUOTED.match(text, start)
            if match is None:
                raise OptionError(refusals.OPEN_QUOTE.format(name=name))
            value, end = match[1], match.end()
        if name or equals:
            yield Item(name, value if equals else None)
        at = end + 1


def take(draft: Draft, item: Item, before: Row | None) -> Row | None:
    """Read one option into the draft; gives its row, None if it was skipped."""
    row = find(item.name, item.value is not None)
    if row is None:
        refuse_unknown(draft, item, before)
        return before  # what follows may still be a piece of a password
    if row.refusal:
        value = "" if item.value is None else item.value
        raise OptionError(row.refusal.format(name=item.name, value=value))
    if item.name.startswith(FOREIGN):
        return row
    if row.later is not None:
        postpone(draft, item, row.later)
    store(draft, item, row)
    draft.names.add(item.name if item.value is None else f"{item.name}=")
    if row.warning:
        draft.warn(row.warning)
    if row.note:
        draft.mention(f"`{item.name}`: {row.note}.")
    return row


def store(draft: Draft, item: Item, row: Row) -> None:
    """Keep what the option says, unless it is a second password."""
    if row.read is None or item.value is None:
        draft.fields.update(row.sets)
        return
    if row.to in SECRETS:
        if row.to in draft.fields:
            draft.warn(f"A second `{item.name}=` is ignored.")
            return
        draft.warn(
            f"Others can see the value of `{item.name}=` on the command line and in "
            "/etc/fstab; use a credentials file."
        )
    try:
        value = row.read(item.value)
    except OptionError:
        raise
    except ValueError as allowed:
        raise OptionError(
            f"`{item.name}={item.value}` is not possible: the value must be {allowed}."
        ) from None
    if row.to:
        draft.fields[row.to] = value


def postpone(draft: Draft, item: Item, later: Later) -> None:
    """Say what happens to an option that is known but not built."""
    if item.value is not None and not later.concerns(item.value):
        return
    option = item.name if item.value is None or not later.values else f"{item.name}={item.value}"
    sentence = refusals.NOT_BUILT.format(option=option, instead=later.instead)
    match later.until:
        case Until.FAILS:
            draft.unbuilt = draft.unbuilt or sentence
        case Until.WARNS:
            draft.warn(sentence)
        case _:
            draft.mention(sentence)


def refuse_unknown(draft: Draft, item: Item, before: Row | None) -> None:
    """Fail for an option that nobody knows, or note it under ``sloppy``."""
    name = item.name
    if find(name, item.value is None) is not None:  # known, but in the other form
        sentence = refusals.NEEDS_VALUE if item.value is None else refusals.NO_VALUE
        raise OptionError(sentence.format(name=name))
    if before is not None and before.to in SECRETS:
        raise OptionError(refusals.AFTER_PASSWORD)
    known = nearest(name)
    if draft.sloppy and known not in SECURITY:
        draft.warn(f"Unknown option `{name}` is skipped, as `sloppy` asks.")
        return
    meant = f" Did you mean `{known}`?" if known else ""
    cure = "" if known in SECURITY else " Add `sloppy` to skip unknown options."
    raise OptionError(f"Unknown option `{name}`.{meant}{cure}")
