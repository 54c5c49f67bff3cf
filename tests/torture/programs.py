"""Ordinary programs as workloads: git, which commits, tar, which packs and unpacks, and fio.

What they are told is their exit status; each looks after its own calls.  Easily broken: who is
killed or fails leaves locks behind, which people remove, and so it is done here.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
import time
from pathlib import Path
from random import Random

from tests.torture.diary import Diary

GIT = (
    *("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "gc.auto=0"),
    *("-c", "safe.directory=*", "-c", "init.defaultBranch=main"),
)
ENVIRONMENT = {"HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.defpath}
FIO = (
    *("fio", "--name=blocks", "--size=1m", "--bs=4k", "--fsync=32", "--ioengine=psync"),
    *("--verify=crc32c", "--verify_fatal=1", "--verify_state_save=0", "--fallocate=none"),
    # It closes the file before it reads it back, and does not look at what close(2) tells.
    "--end_fsync=1",
)
INIT, ADD = ["init", "-q"], ["add", "-A", "--", ":!clones"]
FILES = 25
CLONED = 3  # every so many commits
LONGEST_S = 60.0


def tree(number: int) -> dict[str, bytes]:
    """The files of an archive."""
    chance = Random(number)
    return {
        f"{'sub/' if name % 3 else ''}file-{name}": chance.randbytes(chance.randrange(30_000))
        for name in range(FILES)
    }


def repository(folder: Path, diary: Diary, chance: Random) -> None:
    """Commit one change after the other, and clone what is there now and then."""
    number = 0
    while not diary.is_over:
        number += 1
        with diary.forgiving():
            for lock in (folder / ".git").glob("**/*.lock"):
                lock.unlink()
            (folder / f"file-{number % 7}").write_text(f"{number} {chance.random()}\n" * 50)
            if all(
                _git(folder, diary, *words) is not None
                for words in (INIT, ADD, ["commit", "-qm", str(number)])
            ) and (commit := _git(folder, diary, "rev-parse", "HEAD")):
                diary.say(safe_commit=commit)
                if number % CLONED == 0 and _cloned(folder, diary, number):
                    diary.say(safe_clone=[number, commit])


def _cloned(folder: Path, diary: Diary, number: int) -> bool:
    # --no-local, or the files of the clone were links to those that are there.
    return _git(folder, diary, "clone", "-q", "--no-local", ".", f"clones/{number}") is not None


def _git(folder: Path, diary: Diary, *words: str) -> str | None:
    """Run git; what it says, or None if it failed."""
    began = time.monotonic()
    done = subprocess.run(
        [*GIT, *words],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    error = {"error": done.stderr[-200:]} if done.returncode else {}
    diary.say(program=f"git {words[0]}", s=time.monotonic() - began, **error)
    if done.returncode:
        time.sleep(0.05)
        return None
    return done.stdout.strip()


def archive(folder: Path, diary: Diary, chance: Random) -> None:
    """Pack a folder of this machine into the mount, and unpack it there."""
    number = 0
    with tempfile.TemporaryDirectory() as source:
        while not diary.is_over:
            number += 1
            for name, data in tree(number).items():
                path = Path(source, name)
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(data)
            packed, unpacked = folder / f"{number}.tar", folder / f"tree-{number}"
            with diary.forgiving():
                if not _tar(diary, "-C", source, "-cf", str(packed), "."):
                    continue
                diary.say(safe_archive=[number, _digest(source)])
                unpacked.mkdir()
                if _tar(diary, "-C", str(unpacked), "-xf", str(packed)):
                    diary.say(safe_tree=number)


def _tar(diary: Diary, *words: str) -> bool:
    began = time.monotonic()
    done = subprocess.run(
        ["tar", "--no-same-owner", *words], capture_output=True, timeout=LONGEST_S, check=False
    )
    error = {"error": done.stderr.decode()[-200:]} if done.returncode else {}
    diary.say(program="tar", s=time.monotonic() - began, **error)
    return not done.returncode


def fio(folder: Path, diary: Diary, chance: Random) -> None:
    """Have fio write blocks that prove themselves, and read them back."""
    number = 0
    while not diary.is_over:
        number += 1
        began = time.monotonic()
        kind = chance.choice(("randwrite", "write", "randrw"))
        done = subprocess.run(
            [*FIO, f"--directory={folder}", f"--rw={kind}", f"--randseed={number}"],
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
        said = done.stdout + done.stderr
        if "verify: bad" in said or "crc32c: verify failed" in said:
            diary.wrong(f"fio: {said[-500:]}")
        diary.say(program="fio", s=time.monotonic() - began, status=done.returncode)
        if not done.returncode:
            diary.say(verified=number)
        time.sleep(0.05)


def _digest(source: str) -> str:
    """The archive as tar makes it once more, on this machine's own disk."""
    made = subprocess.run(["tar", "-C", source, "-cf", "-", "."], capture_output=True, check=True)
    return hashlib.sha256(made.stdout).hexdigest()
