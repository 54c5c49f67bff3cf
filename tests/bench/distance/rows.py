"""The rows of the table: a command on a mount, and what must be true when it has ended.

Each command is one that people type.  What is checked is not timed; a copy that returned before
the server has the bytes is "not sent", however fast it was.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.distance.ground import Ground

NOT_SENT = "not sent"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    name: str
    target_s: float  # at 10 ms; what we want to reach
    command: Callable[[Ground, Path], list[str]]
    check: Callable[[Ground, Path], str]  # "" if all is well, else what is not
    reset: Callable[[Ground], None] = lambda ground: None


def _read(ground: Ground, mount: Path) -> list[str]:
    return ["dd", f"if={mount / ground.large}", "of=/dev/null", "bs=1M", "status=none"]


def _is_read(ground: Ground, mount: Path) -> str:
    same = filecmp.cmp(mount / ground.large, ground.behind / ground.large, shallow=False)
    return "" if same else "wrong bytes"


def _write(ground: Ground, mount: Path) -> list[str]:
    source = ground.behind / ground.large
    target = mount / "written"
    return ["dd", f"if={source}", f"of={target}", "bs=1M", "conv=fsync", "status=none"]


def _is_written(ground: Ground, mount: Path) -> str:
    written = ground.behind / "written"
    if not written.exists() or written.stat().st_size != ground.scale.large:
        return NOT_SENT
    same = filecmp.cmp(written, ground.behind / ground.large, shallow=False)
    return "" if same else "wrong bytes"


def _list(ground: Ground, mount: Path) -> list[str]:
    return ["ls", "-l", str(mount / ground.listed)]


def _is_listed(ground: Ground, mount: Path) -> str:
    return _difference(set(os.listdir(mount / ground.listed)), ground.behind / ground.listed)


def _find(ground: Ground, mount: Path) -> list[str]:
    return ["find", str(mount / ground.tree), "-type", "f"]


def _is_found(ground: Ground, mount: Path) -> str:
    found = subprocess.run(_find(ground, mount), capture_output=True, text=True, check=True)
    return "" if len(found.stdout.split()) == ground.scale.folders * ground.scale.each else "wrong"


def _copy_out(ground: Ground, mount: Path) -> list[str]:
    return ["cp", "-r", str(mount / ground.small), str(ground.here / "out")]


def _copy_in(ground: Ground, mount: Path) -> list[str]:
    return ["cp", "-r", str(ground.here / ground.small), str(mount / "in")]


def _is_out(ground: Ground, mount: Path) -> str:
    return _compared(ground.here / "out", ground.behind / ground.small)


def _is_in(ground: Ground, mount: Path) -> str:
    return _compared(ground.behind / "in", ground.here / ground.small) and NOT_SENT


def _remove(ground: Ground, mount: Path) -> list[str]:
    return ["rm", "-rf", str(mount / "gone")]


def _is_gone(ground: Ground, mount: Path) -> str:
    return NOT_SENT if (ground.behind / "gone").exists() else ""


def _difference(names: set[str], folder: Path) -> str:
    return "" if names == set(os.listdir(folder)) else "wrong names"


def _compared(one: Path, other: Path) -> str:
    """What is not the same in two folders of files."""
    if not one.exists() or (found := _difference(set(os.listdir(one)), other)):
        return "wrong names"
    for name in os.listdir(one):
        if not filecmp.cmp(one / name, other / name, shallow=False):
            return "wrong bytes"
    return found


def _without(name: str) -> Callable[[Ground], None]:
    """Remove what an earlier run left, on both sides."""

    def reset(ground: Ground) -> None:
        for place in (ground.behind, ground.here):
            shutil.rmtree(place / name, ignore_errors=True)
            (place / name).unlink(missing_ok=True)

    return reset


def _with_what_goes(ground: Ground) -> None:
    ground.make_small(ground.behind / "gone")


ROWS = (
    Row("read 256 MiB", 0.5, _read, _is_read),
    Row("write 256 MiB + fsync", 0.8, _write, _is_written, _without("written")),
    Row("ls -l of 5,000 files", 0.2, _list, _is_listed),
    Row("cp -r out, 200 files of 10 KiB", 0.5, _copy_out, _is_out, _without("out")),
    Row("find over 200 folders of 5 files", 0.5, _find, _is_found),
    Row("cp -r in, the same 200 files", 4.2, _copy_in, _is_in, _without("in")),
    Row("rm -rf of those", 2.2, _remove, _is_gone, _with_what_goes),
)
