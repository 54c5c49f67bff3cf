"""Ordinary use of a mounted share: every call that turns into a message, once or more."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

LARGE = 3 << 20
MANY = 20


def use(folder: Path) -> None:
    """Work in an empty mounted folder; what it holds afterwards does not matter."""
    data = os.urandom(LARGE)
    (folder / "one" / "two").mkdir(parents=True)
    (folder / "one" / "large").write_bytes(data)
    shutil.copyfile(folder / "one" / "large", folder / "one" / "copy")  # in and out
    assert (folder / "one" / "copy").read_bytes() == data
    for number in range(MANY):
        (folder / "one" / "two" / f"file {number}").touch()
    assert len(os.listdir(folder / "one" / "two")) == MANY
    assert len([entry.stat() for entry in os.scandir(folder / "one")]) == 3
    _names(folder / "one")
    _bytes(folder / "one")
    _attributes(folder / "one" / "copy")
    os.statvfs(folder)
    shutil.rmtree(folder / "one")


def _names(folder: Path) -> None:
    (folder / "copy").rename(folder / "renamed")
    (folder / "large").rename(folder / "two" / "file 0")  # over one that is there
    os.link(folder / "renamed", folder / "copy")
    (folder / "renamed").unlink()
    (folder / "link").symlink_to("copy")
    assert os.readlink(folder / "link") == "copy"
    assert (folder / "link").stat().st_size == LARGE
    (folder / 'a:b*c?"<>|.').write_text("mapped")
    assert 'a:b*c?"<>|.' in os.listdir(folder)
    for missing in (folder / "none", folder / "none" / "at all"):
        with contextlib.suppress(FileNotFoundError):
            missing.stat()
    with contextlib.suppress(OSError):
        (folder / "two").rmdir()  # not empty


def _bytes(folder: Path) -> None:
    with (folder / "copy").open("r+b") as file:
        file.truncate(100)
        file.seek(0, os.SEEK_END)
        file.write(b"more")
        os.fsync(file.fileno())
    with (folder / "copy").open("ab") as file:
        file.write(b"the end")
    with (folder / "open").open("wb") as file:
        (folder / "open").unlink()  # lives on without a name
        file.write(b"x")


def _attributes(path: Path) -> None:
    path.chmod(0o444)
    path.chmod(0o644)
    os.utime(path, (1_000_000_000, 1_234_567_890))
    os.setxattr(path, "user.smbfs", b"value")
    assert os.getxattr(path, "user.smbfs") == b"value"
    assert os.listxattr(path) == ["user.smbfs"]
    os.removexattr(path, "user.smbfs")
