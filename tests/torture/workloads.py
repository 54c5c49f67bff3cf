"""The programs of a run: each works on the mount, notices lies at once, and keeps a diary.

``python -m tests.torture.workloads NAME FOLDER DIARY SEED SECONDS``.  What each was told and what
is on the server in the end is compared by `tests.torture.judge`.  Easily broken: an error makes
nothing false that was told before it, and nothing true; and what failed may have been done.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.torture import programs
from tests.torture.diary import Diary

RECORD = 512
SLOTS = 256
STILL = 2 << 20  # bytes of the file that nobody changes


def record(slot: int, version: int) -> bytes:
    """A record that proves itself; version 0 is a slot that was never written."""
    head = slot.to_bytes(4, "big") + version.to_bytes(8, "big")
    digest = hashlib.sha256(head).digest()
    return (head + digest * (RECORD // len(digest)))[:RECORD]


def version_of(slot: int, data: bytes) -> int | None:
    """Which version of a record this is; None if it is none."""
    if not data.strip(b"\0"):
        return 0
    version = int.from_bytes(data[4:12], "big")
    return version if data == record(slot, version) else None


def still(size: int = STILL) -> bytes:
    """What is in the file that nobody changes."""
    return Random(7).randbytes(size)


def document(version: int) -> bytes:
    """A document of an editor, from its version."""
    line = b"%08d %s\n" % (version, hashlib.sha256(b"%d" % version).hexdigest().encode())
    return line * (1 + version % 300)


def document_version(data: bytes) -> int | None:
    """Which version a document is; None for none."""
    with contextlib.suppress(ValueError):
        version = int(data[:8])
        return version if data == document(version) else None
    return None


def records(folder: Path, diary: Diary, chance: Random) -> None:
    """Write records here and there and bring them to the disk now and then."""
    path, version = folder / "records", 0
    while not diary.is_over:
        with diary.forgiving():
            fd = diary.call("open", os.open, path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                while not diary.is_over:
                    version = _burst(fd, diary, chance, version)
            finally:
                diary.call("close", os.close, fd)


def _burst(fd: int, diary: Diary, chance: Random, version: int) -> int:
    """Write some records, then have them on the disk; they are safe from then on."""
    written: dict[int, int] = {}
    for _ in range(chance.randint(1, 40)):
        version += 1
        slot = chance.randrange(SLOTS)
        diary.say(tried=[slot, version])
        data = record(slot, version)
        diary.call("write", os.pwrite, fd, data, slot * RECORD)
        written[slot] = version
    if chance.random() < 0.3:
        slot = chance.choice(sorted(written))
        data = diary.call("read", os.pread, fd, RECORD, slot * RECORD)
        if data != record(slot, written[slot]):
            diary.wrong(f"slot {slot} is not what was written to it a moment ago")
    diary.call("fsync", os.fsync, fd)
    diary.say(safe=sorted(written.items()))
    return version


def lines(folder: Path, diary: Diary, chance: Random) -> None:
    """Append lines, each of which must be there once."""
    path, number = folder / "lines", 0
    while not diary.is_over:
        with diary.forgiving():
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            fd = diary.call("open", os.open, path, flags, 0o644)
            try:
                while not diary.is_over:
                    told = []
                    for _ in range(chance.randint(1, 5)):
                        number += 1
                        line = b"%012d\n" % number
                        diary.call("append", os.write, fd, line)
                        told.append(number)
                    diary.call("fsync", os.fsync, fd)
                    diary.say(safe_lines=told)
            finally:
                diary.call("close", os.close, fd)


def editor(folder: Path, diary: Diary, chance: Random) -> None:
    """Save a document as editors do: a new file that takes the old one's name."""
    target, version, safe = folder / "document", 0, 0
    while not diary.is_over:
        version += 1
        draft = folder / f"draft-{version}"
        diary.say(tried_document=version)
        with diary.forgiving():
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            fd = diary.call("create", os.open, draft, flags, 0o644)
            try:
                content = document(version)
                diary.call("write", os.write, fd, content)
                diary.call("fsync", os.fsync, fd)
            finally:
                diary.call("close", os.close, fd)
            diary.call("rename", os.rename, draft, target)
            safe = version
            diary.say(safe_document=version)
        if not safe:
            continue
        with diary.forgiving():
            content = diary.call("read", target.read_bytes)
            found = document_version(content)
            if found is None or found < safe:
                diary.wrong(f"the document is version {found}, {safe} was saved")


def names(folder: Path, diary: Diary, chance: Random) -> None:
    """Make folders and files and remove them; each is asked for once."""
    number = 0
    while not diary.is_over:
        number += 1
        path = folder / f"folder-{number}"
        with diary.forgiving():
            try:
                diary.call("mkdir", os.mkdir, path)
            except FileExistsError:
                diary.wrong(f"{path.name} was there before it was made")
                raise
            diary.say(made=path.name)
            if chance.random() < 0.5:
                continue
            diary.say(unmade=path.name)  # maybe, from now on
            try:
                diary.call("rmdir", os.rmdir, path)
            except FileNotFoundError:
                diary.wrong(f"{path.name} was gone before it was removed")
                raise
            diary.say(unmade=path.name, gone=True)


def reader(folder: Path, diary: Diary, chance: Random) -> None:
    """Read a file that nobody changes."""
    path, content = folder / "still", still()
    while not diary.is_over:
        with diary.forgiving():
            fd = diary.call("open", os.open, path, os.O_RDONLY)
            try:
                for _ in range(50):
                    at, size = chance.randrange(STILL), chance.randint(1, 300_000)
                    data = diary.call("read", os.pread, fd, size, at)
                    if data != content[at : at + len(data)]:
                        diary.wrong(f"{len(data)} bytes at {at} are not the file's")
                    _must_go_on(fd, at + len(data), at + size, diary)
                    if diary.is_over:
                        break
            finally:
                diary.call("close", os.close, fd)
            diary.call("listdir", os.listdir, folder)
            diary.call("stat", os.stat, path)


def _must_go_on(fd: int, at: int, end: int, diary: Diary) -> None:
    """See that a read was short because of an error, which comes now or is over, or at the end."""
    if at < min(end, STILL) and not diary.call("read", os.pread, fd, 1, at):
        diary.wrong(f"the file ends at {at}")


def database(folder: Path, diary: Diary, chance: Random) -> None:
    """Put rows into a database, one transaction each."""
    number = 0
    while not diary.is_over:
        try:
            with contextlib.closing(sqlite3.connect(folder / "rows.db", timeout=1)) as base:
                base.execute("create table if not exists rows (number integer primary key)")
                while not diary.is_over:
                    number += 1
                    began = time.monotonic()
                    with base:
                        base.execute("insert into rows values (?)", (number,))
                    diary.say(call="commit", s=time.monotonic() - began)
                    diary.say(safe_row=number)
        except sqlite3.DatabaseError as error:
            if "malformed" in str(error) or "not a database" in str(error):
                diary.wrong(f"the database is broken: {error}")
            diary.say(call="commit", s=0, error=str(error))
            time.sleep(0.05)
        except OSError as error:
            diary.say(call="commit", s=0, error=errno.errorcode.get(error.errno or 0, ""))


WORKLOADS: dict[str, Callable[[Path, Diary, Random], None]] = {
    "records": records,
    "lines": lines,
    "editor": editor,
    "names": names,
    "reader": reader,
    "database": database,
    "repository": programs.repository,
    "archive": programs.archive,
    "fio": programs.fio,
}


def main() -> None:
    """Run one of them."""
    name, folder, diary, seed, seconds = sys.argv[1:]
    until = time.monotonic() + float(seconds)
    WORKLOADS[name](Path(folder), Diary(Path(diary), until), Random(f"{name} {seed}"))


if __name__ == "__main__":
    main()
