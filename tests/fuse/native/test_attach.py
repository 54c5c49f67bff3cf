"""Options reach those who understand them, and what refuses says why."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from smbfs.fuse.native import attach as attaching
from smbfs.fuse.native.attach import (
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_NOSYMFOLLOW,
    MS_RDONLY,
    Plan,
    attach,
    release,
    unmount,
)


def test_options_are_sorted() -> None:
    plan = Plan.of(
        [
            r"fsname=//nas/a\,b\\c",
            "subtype=smbfs",
            "ro",
            "noexec",
            "suid",
            "nosymfollow",
            "default_permissions",
            "max_read=4096",
            "auto_unmount",
            'context="a,b"',
        ]
    )
    assert (plan.source, plan.type) == (r"//nas/a,b\c", "fuse.smbfs")
    assert plan.bits == MS_RDONLY | MS_NOEXEC | MS_NODEV | MS_NOSYMFOLLOW
    assert plan.data == ["default_permissions", "max_read=4096", 'context="a,b"']


def test_a_mount_is_harmless_unless_told_otherwise() -> None:
    assert Plan.of([]).bits == MS_NOSUID | MS_NODEV
    assert Plan.of(["dev", "suid", "exec", "rw"]).bits == 0


@pytest.mark.parametrize(
    ("options", "data"),
    [(["allow_root"], ["allow_other"]), (["allow_other", "allow_root"], ["allow_other"])],
)
def test_root_alone_may_join_by_our_own_doing(options: list[str], data: list[str]) -> None:
    assert Plan.of(options).data == data


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mount(2) is for root")


@needs_root
def test_what_the_kernel_does_not_know_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"none of these options.*nonsense") as caught:
        attach(str(tmp_path), ["nonsense"])
    assert caught.value.errno == errno.EINVAL


@needs_root
def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        attach(str(tmp_path / "none"), [])
    with pytest.raises(OSError, match="Invalid argument"):
        unmount(str(tmp_path))


@needs_root
def test_a_device_that_cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attaching, "DEVICE", "/nowhere/fuse")
    with pytest.raises(FileNotFoundError, match="cannot open /nowhere/fuse"):
        attach("/", [])


@pytest.mark.parametrize(
    ("name", "version"),
    [("6.18.44-x", (6, 18)), ("5.4.0", (5, 4)), ("4.19.0-lp", (4, 19)), ("?", (99, 0))],
)
def test_kernels(name: str, version: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release=name))
    assert release() == version


@needs_root
def test_an_old_kernel_does_not_forbid_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(release="5.9.1"))
    with pytest.raises(OSError, match=r"needs Linux 5\.10"):
        attach(str(tmp_path), ["nosymfollow"])


# The helper


def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a program of ours in fusermount3's place."""
    fake = tmp_path / "fusermount3"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(fake))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def test_a_helper_that_refuses_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper(tmp_path, monkeypatch, 'echo "fusermount3: no such right: $*" >&2; exit 1')
    with pytest.raises(OSError, match="no such right: -o fsname=x,allow_other -- /mnt"):
        attach("/mnt", ["fsname=x", "allow_root", "auto_unmount"])


def test_a_helper_that_hands_nothing_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper(tmp_path, monkeypatch, "exit 0")
    with pytest.raises(OSError, match="fusermount3 handed no descriptor over"):
        attach("/mnt", [])


def test_a_helper_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attaching, "HELPER_S", 0.1)
    helper(tmp_path, monkeypatch, "exec sleep 60")
    with pytest.raises(OSError, match="handed no descriptor over"):
        attach("/mnt", [])


def test_a_helper_that_hangs_with_the_descriptor_handed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attaching, "HELPER_S", 1.0)
    code = "import os, socket, time; s = socket.socket(fileno=int(os.environ['_FUSE_COMMFD'])); "
    code += "socket.send_fds(s, [b'x'], [1]); time.sleep(60)"
    helper(tmp_path, monkeypatch, f'exec {sys.executable} -c "{code}"')
    with pytest.raises(OSError, match="handed no descriptor over"):
        attach("/mnt", [])


def test_no_helper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(FileNotFoundError, match="install the package fuse3"):
        attach("/mnt", [])
