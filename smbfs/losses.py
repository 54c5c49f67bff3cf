"""What could not be written to a server: told by a file of lines that outlives the mount.

One line of JSON for each range of bytes; `smbfs errors` reads it.  Easily broken: a daemon that
cannot write it down goes on, and says so in the log, for the program was told as well.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

log = logging.getLogger(__name__)

NAME = "losses.jsonl"
LONGEST = 4 << 20  # bytes; then the older half of the truth is put aside, and one such is kept


@dataclass(frozen=True, slots=True)
class Loss:
    """Some bytes that were taken from a program and are not on the server."""

    at: str  # when it was known, ISO 8601 with the zone
    mount: str
    share: str
    path: str  # below the mount
    offset: int
    size: int
    why: str


class Losses:
    """Where one user's mounts write down what they lost."""

    def __init__(self, directory: Path, name: str = NAME) -> None:
        self.path = directory / name

    def note(
        self, mount: str, share: str, path: str, offset: int, size: int, error: Exception
    ) -> None:
        """Write one down; never raises."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        why = getattr(error, "strerror", None) or str(error)
        loss = Loss(at, mount, share, path, offset, size, why)
        try:
            self._append(loss)
        except OSError as failure:
            log.error("what was lost could not be written to %s: %s", self.path, failure)

    def _append(self, loss: Loss) -> None:
        line = json.dumps(asdict(loss)) + "\n"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(self.path, flags, 0o600), "wb") as file:
            if os.fstat(file.fileno()).st_size > LONGEST:
                os.replace(self.path, self._older)
                return self._append(loss)
            # In one piece, for other mounts write to the same file.
            file.write(line.encode(errors="surrogateescape"))

    @property
    def _older(self) -> Path:
        return self.path.with_name(self.path.name + ".1")

    def all(self) -> list[Loss]:
        """What was written down, in its order; lines that make no sense are left out.

        Raises OSError if it is there and cannot be read.
        """
        return [*_read(self._older), *_read(self.path)]

    def clear(self) -> None:
        """Forget everything.  Raises OSError."""
        for path in (self._older, self.path):
            path.unlink(missing_ok=True)


def _read(path: Path) -> Iterator[Loss]:
    try:
        lines = path.read_text(errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            yield Loss(**json.loads(line))
        except (ValueError, TypeError):
            continue


def joined(losses: Iterable[Loss]) -> list[Loss]:
    """The same with ranges of one file that touch each other as one, for people."""
    files: dict[tuple[str, str, str], list[Loss]] = {}
    for loss in losses:
        files.setdefault((loss.mount, loss.path, loss.why), []).append(loss)
    return [one for ranges in files.values() for one in _merged(ranges)]


def _merged(losses: list[Loss]) -> list[Loss]:
    found: list[Loss] = []
    for loss in sorted(losses, key=lambda one: one.offset):
        last = found[-1] if found else None
        if last is None or last.offset + last.size < loss.offset:
            found.append(loss)
            continue
        end = max(last.offset + last.size, loss.offset + loss.size)
        found[-1] = replace(last, at=max(last.at, loss.at), size=end - last.offset)
    return found
