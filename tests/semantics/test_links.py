"""LINK promises: hard links, symbolic links in every form that can be made, and special files."""

from __future__ import annotations

import errno
import hashlib
import os
import time
from pathlib import Path

from smbfs.wire.reparse import ReparseTag
from tests.fake.tree import Volume
from tests.mount.ground import BELIEF_S, fails
from tests.mounted import MountedShare
from tests.samba import Samba
from tests.semantics.conftest import Here
from tests.semantics.document import proves
from tests.semantics.served import Served

LINK_FILE_BYTES = 1067
TARGETS = ["file", "../up/and away", "/usr/bin/env", "ünïcode\\:*", "x" * 1024]


@proves(
    "LINK-1 A hard link is made by the server; all names of a file share one inode number and its"
    " link count."
)
def test_hard_links(here: Here) -> None:
    (here.path / "one").write_text("1")
    os.link(here.path / "one", here.path / "two")
    assert (here.behind / "one").samefile(here.behind / "two")
    one, two = (here.path / "one").stat(), (here.path / "two").stat()
    assert one.st_ino == two.st_ino
    assert one.st_nlink == two.st_nlink == 2
    (here.path / "one").unlink()
    assert (here.path / "two").stat().st_nlink == 1
    with fails(errno.EPERM):
        os.link(here.path, here.path / "directory")


@proves(
    "LINK-2 The link count of a file that is known only from a listing is the number of its names"
    " known here, until the file itself is asked."
)
def test_links_in_listings(here: Here) -> None:
    (here.behind / "directory").mkdir()
    (here.behind / "directory" / "one").touch()
    (here.behind / "two").hardlink_to(here.behind / "directory" / "one")
    with os.scandir(here.path / "directory") as entries:
        [entry] = list(entries)
    assert entry.stat().st_nlink == 1
    time.sleep(BELIEF_S + 0.1)
    assert (here.path / "directory" / "one").stat().st_nlink == 2


@proves(
    "LINK-3 A symbolic link is made as the server's own kind of link where it allows that and the"
    " target is relative; otherwise as a file that Linux and macOS read as a link."
)
def test_symbolic_links_on_a_server_without(here: Here) -> None:
    (here.path / "file").write_text("found")
    (here.path / "link").symlink_to("file")
    assert (here.path / "link").is_symlink()
    assert (here.path / "link").read_text() == "found"
    written = (here.behind / "link").read_bytes()
    assert len(written) == LINK_FILE_BYTES
    assert written.startswith(b"XSym\n0004\n")


@proves(
    "LINK-3 A symbolic link is made as the server's own kind of link where it allows that and the"
    " target is relative; otherwise as a file that Linux and macOS read as a link."
)
def test_symbolic_links_on_a_server_that_has_them(samba: Samba, tmp_path: Path) -> None:
    volume = Volume("share", reparse=True)
    with Served(volume, tmp_path) as fake, MountedShare(samba, "share", *fake.options) as mounted:
        (mounted.path / "file").write_text("found")
        (mounted.path / "link").symlink_to("file")
        assert (mounted.path / "link").read_text() == "found"
        assert volume.node("link").reparse_tag == ReparseTag.SYMLINK
        (mounted.path / "away").symlink_to("/usr/bin/env")
        assert (mounted.path / "away").samefile("/usr/bin/env")
        assert volume.node("away").reparse_tag == 0
        assert fake.server.violations == []


@proves(
    "LINK-4 With `symlink=native`, a link that the server cannot make as its own is refused "
    "(EPERM); with `symlink=none` every link is."
)
def test_links_that_are_refused(here: Here) -> None:
    for option in ("symlink=native", "symlink=none"):
        with fails(errno.EPERM):
            (here.through(option) / "link").symlink_to("file")
    assert os.listdir(here.behind) == []


@proves(
    "LINK-5 The target of a link is kept byte for byte and may lead anywhere, out of the mount as"
    " well."
)
def test_targets(here: Here) -> None:
    for number, target in enumerate(TARGETS):
        (here.path / str(number)).symlink_to(target)
    again = here.through("actimeo=0")
    assert [os.readlink(again / str(number)) for number in range(len(TARGETS))] == TARGETS
    assert Path(again / "2").samefile("/usr/bin/env")


@proves("LINK-6 A link that another client made as such a file is a link here.")
def test_links_of_others(here: Here) -> None:
    digest = hashlib.md5(b"target", usedforsecurity=False).hexdigest()
    text = f"XSym\n0006\n{digest}\ntarget\n"
    (here.behind / "link").write_text(text.ljust(LINK_FILE_BYTES))
    (here.behind / "same size").write_bytes(b"x" * LINK_FILE_BYTES)
    assert os.readlink(here.path / "link") == "target"
    assert (here.path / "same size").is_file()
    with os.scandir(here.path) as entries:
        assert {entry.name: entry.is_symlink() for entry in entries} == {
            "link": True,
            "same size": False,
        }


@proves("LINK-7 Fifos, sockets and devices are refused (EPERM) where the server cannot keep them.")
def test_special_files(here: Here, samba: Samba) -> None:
    with fails(errno.EPERM):
        os.mkfifo(here.path / "fifo")
    assert os.listdir(here.behind) == []
    with MountedShare(samba, "readonly") as mounted, fails(errno.EACCES, errno.EPERM):
        os.mkfifo(mounted.path / "fifo")
