"""One database that two machines write to, for tests and benchmarks: made, written to, checked."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from tests.processes import BARE_PYTHON

LOCK_S = 300  # how long a writer waits for the other one
WRITER = f"""
import sqlite3, sys
path, who, count, mode = sys.argv[1:]
db = sqlite3.connect(path, timeout={LOCK_S}, isolation_level=None)
db.execute(f"pragma journal_mode={{mode}}")
for number in range(int(count)):
    db.execute("begin immediate")
    db.execute("update total set value = value + 1")
    db.execute("insert into done values (?, ?)", (who, number))
    db.execute("commit")
"""


def make(path: Path) -> None:
    """Make the database, with nothing done yet."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            "create table done (who, number); create table total (value);"
            "insert into total values (0);"
        )


def write(paths: tuple[Path, Path], count: int, mode: str, seconds: float) -> None:
    """Have two programs do so many transactions each at once, each by its own path.

    Raises RuntimeError if one fails, subprocess.TimeoutExpired if it lasts longer.
    """
    writers = [
        subprocess.Popen([*BARE_PYTHON, WRITER, path, str(number), str(count), mode])
        for number, path in enumerate(paths)
    ]
    try:
        if [writer.wait(seconds) for writer in writers] != [0, 0]:
            raise RuntimeError("a program failed")
    finally:
        for writer in writers:
            writer.kill()


def check(path: Path, count: int) -> None:
    """Raise RuntimeError unless the database is whole and every transaction is in it once."""
    with closing(sqlite3.connect(path)) as db:
        found = [
            db.execute(query).fetchall()
            for query in (
                "pragma integrity_check",
                "select value from total",
                "select who, count(*), count(distinct number) from done group by who",
            )
        ]
    if found != [[("ok",)], [(2 * count,)], [("0", count, count), ("1", count, count)]]:
        raise RuntimeError(f"the database is wrong: {found}")
