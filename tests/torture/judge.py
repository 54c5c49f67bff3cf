"""Compares what is on the server with what each program was told: the verdict on a run.

Reads diaries and the server's own disk, never the mount.  Each complaint is a sentence; none means
that nothing was lost and nothing invented.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.torture import diary, workloads
from tests.torture.programs import ENVIRONMENT, GIT, tree
from tests.torture.workloads import RECORD, document_version, still, version_of

Lines = list[dict[str, Any]]
DATA_CALLS = ("read", "write", "append", "fsync", "close", "commit")


@dataclass
class Verdict:
    """What is to be said of the programs of one run."""

    complaints: list[str] = field(default_factory=list)
    safe: Counter[str] = field(default_factory=Counter)  # the same by program
    acknowledged: int = 0  # records, lines, documents, folders and rows that were told to be safe
    calls: int = 0
    failed: int = 0  # calls that ended with an error
    slowest: tuple[float, str] = (0.0, "")
    late: list[str] = field(default_factory=list)  # calls past the deadline


def judged(folder: Path, diaries: Path, deadline_s: float, data_deadline_s: float) -> Verdict:
    """Judge a run by the server's disk and the diaries."""
    verdict = Verdict()
    for name, check in CHECKS.items():
        lines, before = diary.read(diaries / name), verdict.acknowledged
        for complaint in check(folder / name, lines, verdict):
            verdict.complaints.append(f"{name}: {complaint}")
        verdict.safe[name] = verdict.acknowledged - before
        for line in lines:
            if "wrong" in line:
                verdict.complaints.append(f"{name}: {line['wrong']}")
            if "call" in line:
                _count(verdict, line, deadline_s, data_deadline_s)
    return verdict


def _count(verdict: Verdict, line: dict[str, Any], deadline_s: float, data_s: float) -> None:
    name, seconds = line["call"], float(line["s"])
    verdict.calls += 1
    verdict.failed += "error" in line
    verdict.slowest = max(verdict.slowest, (seconds, name))
    limit = data_s if name in DATA_CALLS else deadline_s
    if seconds > limit:
        verdict.late.append(f"{name} took {seconds:.1f} s ({line.get('error', 'and succeeded')})")


def _records(folder: Path, lines: Lines, verdict: Verdict) -> Iterator[str]:
    safe: dict[int, int] = {}
    tried: defaultdict[int, set[int]] = defaultdict(lambda: {0})
    for line in lines:
        if "tried" in line:
            slot, version = line["tried"]
            tried[slot].add(version)
        for slot, version in line.get("safe", ()):
            safe[slot] = version
            verdict.acknowledged += 1
    data = _content(folder / "records")
    for slot, versions in tried.items():
        piece = data[slot * RECORD : (slot + 1) * RECORD]
        piece += bytes(RECORD - len(piece))
        found, known = version_of(slot, piece), safe.get(slot, 0)
        if found is None:
            if max(versions) == known:
                yield f"slot {slot} is torn, and nothing was under way there after version {known}"
        elif found not in versions:
            yield f"slot {slot} has version {found}, which nobody wrote"
        elif found < known:
            yield f"slot {slot} has version {found}, and {known} was safe"


def _lines(folder: Path, lines: Lines, verdict: Verdict) -> Iterator[str]:
    found = [one for one in _content(folder / "lines").split(b"\n") if one.strip(b"\0")]
    whole = [one for one in found if len(one) == 12 and one.isdigit()]
    there = set(map(int, whole))
    for line in lines:
        for number in line.get("safe_lines", ()):
            verdict.acknowledged += 1
            if number not in there:
                yield f"line {number} was safe and is not there"
    if len(whole) != len(there):
        yield f"{len(whole) - len(there)} lines are there twice"


def _editor(folder: Path, lines: Lines, verdict: Verdict) -> Iterator[str]:
    safe = [line["safe_document"] for line in lines if "safe_document" in line]
    tried = [line["tried_document"] for line in lines if "tried_document" in line]
    verdict.acknowledged += len(safe)
    path = folder / "document"
    if not path.exists():
        if safe:
            yield f"the document is not there, version {safe[-1]} was saved"
        return
    found = document_version(path.read_bytes())
    if found not in tried:
        yield f"the document is version {found}, which nobody saved"
    elif safe and found < safe[-1]:
        yield f"the document is version {found}, {safe[-1]} was saved"


def _names(folder: Path, lines: Lines, verdict: Verdict) -> Iterator[str]:
    there = {path.name for path in folder.iterdir()}
    made = [line["made"] for line in lines if "made" in line]
    unmade = {line["unmade"]: line.get("gone", False) for line in lines if "unmade" in line}
    verdict.acknowledged += len(made)
    for name in made:
        if name not in unmade and name not in there:
            yield f"{name} was made and is not there"
        if unmade.get(name) and name in there:
            yield f"{name} was removed and is there"


def _reader(folder: Path, lines: Lines, verdict: Verdict) -> Iterator[str]:
    if _content(folder / "still") != still():
        yield "a file that nobody wrote to has changed"


def _database(folder: Path, lines: Lines, verdict: Verdict) -> Iterator[str]:
    safe = {line["safe_row"] for line in lines if "safe_row" in line}
    verdict.acknowledged += len(safe)
    if not (folder / "rows.db").exists():
        if safe:
            yield "the database is not there"
        return
    try:
        with contextlib.closing(sqlite3.connect(folder / "rows.db")) as base:
            [state] = base.execute("pragma integrity_check").fetchone()
            tables = base.execute("select name from sqlite_master").fetchall()
            rows = base.execute("select number from rows").fetchall() if tables else []
    except sqlite3.DatabaseError as error:
        yield f"the database is broken: {error}"
        return
    if state != "ok":
        yield f"the database is broken: {state}"
    if lost := safe - {number for (number,) in rows}:
        yield f"{len(lost)} rows were committed and are not there: {sorted(lost)[:5]}"


def _repository(folder: Path, lines: Lines, verdict: Verdict) -> Iterator[str]:
    safe = [line["safe_commit"] for line in lines if "safe_commit" in line]
    clones = dict(line["safe_clone"] for line in lines if "safe_clone" in line)
    verdict.acknowledged += len(safe) + len(clones)
    if safe:
        yield from _fsck(folder, safe)
    for number, commit in clones.items():
        yield from _fsck(folder / "clones" / str(number), [commit])


def _fsck(folder: Path, commits: list[str]) -> Iterator[str]:
    if not (folder / ".git").exists():
        yield f"{folder.name}: the repository is not there"
        return
    done = subprocess.run(
        [
            *GIT,
            "--git-dir=.git",
            "fsck",
            "--no-dangling",
            "--no-reflogs",
            "--no-progress",
            *commits,
        ],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        yield f"git fsck of {folder.name}: {done.stderr[-500:]}"


def _archive(folder: Path, lines: Lines, verdict: Verdict) -> Iterator[str]:
    for line in lines:
        if "safe_archive" in line:
            verdict.acknowledged += 1
            number, digest = line["safe_archive"]
            if hashlib.sha256(_content(folder / f"{number}.tar")).hexdigest() != digest:
                yield f"archive {number} is not what tar has packed"
        if "safe_tree" in line:
            verdict.acknowledged += 1
            number = line["safe_tree"]
            for name, data in tree(number).items():
                if _content(folder / f"tree-{number}" / name) != data:
                    yield f"{name} of tree {number} is not what was unpacked"


def _fio(folder: Path, lines: Lines, verdict: Verdict) -> Iterator[str]:
    # fio has judged each of its passes itself, and said so at once if it was wrong.
    verdict.acknowledged += sum("verified" in line for line in lines)
    yield from ()


CHECKS = {
    "records": _records,
    "lines": _lines,
    "editor": _editor,
    "names": _names,
    "reader": _reader,
    "database": _database,
    "repository": _repository,
    "archive": _archive,
    "fio": _fio,
}
assert CHECKS.keys() == workloads.WORKLOADS.keys()


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""
