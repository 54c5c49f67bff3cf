"""``smbfs spool FOLDER``: what could not be sent before smbfs ended, listed, put back, exported."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from smbfs.cli.mount import FAILED, OK, say
from smbfs.spool import Kept, NotPutBack, Spool, is_below


def main(arguments: Sequence[str]) -> int:
    """Do what was asked; 0 if all of it was done, and for a list if it is empty."""
    parser = argparse.ArgumentParser(
        prog="smbfs spool",
        description="List what could not be sent before smbfs ended, and do something about it.",
    )
    parser.add_argument("folder", help="what spool_dir= was")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--retry", metavar="MOUNTPOINT", help="write it to the mounted files")
    what.add_argument("--export", metavar="FOLDER", help="write it to copies of the files there")
    what.add_argument("--discard", action="store_true", help="throw it away")
    parser.add_argument("--force", action="store_true", help="also over what is newer")
    asked = parser.parse_args(arguments)
    spool = Spool(Path(asked.folder))
    if not Path(asked.folder).is_dir():
        return say(f"{asked.folder} is not a folder", FAILED)
    kept = [one for one in spool.all() if is_below(one.path)]
    if asked.discard:
        return _each(kept, spool.forget)
    if asked.export:
        return _each(kept, lambda one: spool.export(one, Path(asked.export)))
    if asked.retry:
        if not os.path.ismount(asked.retry):
            return say(f"nothing is mounted on {asked.retry}", FAILED)
        root = Path(asked.retry)
        return _each(kept, _Writer(spool, root, over_newer=asked.force))
    for one in kept:
        last = one.offset + one.size - 1
        path = os.path.join(one.mount, one.path)
        sys.stdout.write(f"{one.at[:19]}  {path}: bytes {one.offset} to {last}: {one.why}\n")
    if not kept:
        sys.stdout.write("Nothing is kept.\n")
    return 1 if kept else OK


class _Writer:
    """Who writes pieces to the files of a mount: what it has written itself is nobody else's."""

    def __init__(self, spool: Spool, root: Path, *, over_newer: bool) -> None:
        self._spool = spool
        self._root = root
        self._over_newer = over_newer
        self._written: set[str] = set()

    def __call__(self, kept: Kept) -> None:
        over_newer = self._over_newer or kept.path in self._written
        self._spool.put_back(kept, self._root, over_newer=over_newer)
        self._written.add(kept.path)


def _each(kept: list[Kept], do: Callable[[Kept], object]) -> int:
    """Do something with each piece in turn; later pieces of a file that failed are left alone."""
    failed: set[str] = set()
    for one in kept:
        if one.path in failed:
            continue
        try:
            do(one)
        except (NotPutBack, OSError) as error:
            failed.add(one.path)
            say(str(error), FAILED)
    return FAILED if failed else OK
