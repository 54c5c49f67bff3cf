"""Bytes that could not be sent before smbfs had to end: kept in a folder, for a later day.

A piece is a file of data and a line of JSON that says where it belongs; the line is written last,
so that a piece is there as a whole or not at all.  Knows no mount: what is put back is written to
the files of one like any program would.

Easily broken: what others wrote since is newer, and is not overwritten unasked; and a piece is
forgotten only when it is on the disk of wherever it went.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

log = logging.getLogger(__name__)

DATA, NOTE = ".data", ".json"
CHUNK = 1 << 20
SLACK_S = 2.0  # the clocks of two machines


class NotPutBack(Exception):
    """A piece was left in the spool; the text says why."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One piece: some bytes of one file."""

    name: str  # of the piece
    at: str  # when it was kept, ISO 8601 with the zone
    mount: str
    share: str
    path: str  # below the mount
    offset: int
    size: int
    why: str


class Spool:
    """A folder of pieces, of any number of mounts."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def keep(
        self,
        mount: str,
        share: str,
        path: str,
        offset: int,
        parts: Sequence[bytes | bytearray | memoryview],
        error: Exception,
    ) -> None:
        """Keep some bytes; never raises."""
        now = datetime.now(UTC)
        name = f"{now.strftime('%Y%m%dT%H%M%S.%f')}-{secrets.token_hex(4)}"
        size = sum(map(len, parts))
        kept = Kept(name, now.isoformat(), mount, share, path, offset, size, str(error))
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write(name + DATA, parts)
            self._write(name + NOTE, [json.dumps(asdict(kept)).encode()])
        except OSError as failure:
            log.error("%s: %d bytes could not be kept: %s", path, size, failure)
        else:
            log.warning("%s: %d bytes are kept in %s", path, size, self._directory)

    def _write(self, name: str, parts: Iterable[bytes | bytearray | memoryview]) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(self._directory / name, flags, 0o600), "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())

    def all(self) -> list[Kept]:
        """The pieces, the oldest first.  Raises OSError if the folder cannot be read."""
        found = []
        for path in sorted(self._directory.glob("*" + NOTE)):
            with suppress(ValueError, TypeError):
                found.append(Kept(**json.loads(path.read_text())))
        return found

    def put_back(self, kept: Kept, root: Path, *, over_newer: bool) -> None:
        """Write a piece to its file below a folder, and forget it.

        Raises NotPutBack if the file is gone or was changed since, OSError.
        """
        path = root / kept.path
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError as error:
            raise NotPutBack(f"{path} is not there any more") from error
        with os.fdopen(fd, "wb", buffering=0) as file:
            limit = datetime.fromisoformat(kept.at).timestamp() + SLACK_S
            if os.fstat(file.fileno()).st_mtime > limit and not over_newer:
                raise NotPutBack(f"{path} was changed since")
            self._copy(kept, file.fileno())
        self.forget(kept)

    def export(self, kept: Kept, root: Path) -> Path:
        """Write a piece to a copy of its file below another folder; the piece stays."""
        path = root / kept.path
        path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "wb", buffering=0) as file:
            self._copy(kept, file.fileno())
        return path

    def _copy(self, kept: Kept, target: int) -> None:
        at = kept.offset
        for part in self._data(kept):
            while part:
                done = os.pwrite(target, part, at)
                part, at = part[done:], at + done
        os.fsync(target)

    def _data(self, kept: Kept) -> Iterator[bytes]:
        with (self._directory / (kept.name + DATA)).open("rb") as file:
            while part := file.read(CHUNK):
                yield part

    def forget(self, kept: Kept) -> None:
        """Throw a piece away."""
        for end in (NOTE, DATA):
            (self._directory / (kept.name + end)).unlink(missing_ok=True)


def is_below(path: str) -> bool:
    """Whether a piece's path leads to somewhere below its root: a spool may have been made up."""
    parts = path.split("/")
    return not path.startswith("/") and ".." not in parts and all(parts)
