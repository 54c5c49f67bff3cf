"""The demo shows what it promises, leaves it mounted, and takes it all away again."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import Sambas
from tests.processes import named
from tests.samba import Samba

pytestmark = pytest.mark.usefixtures("sambas")  # which knows whether Samba is installed
ROOT = Path(__file__).parent.parent


def demo(state: Path, action: str, *words: str, typed: str | None = None) -> tuple[int, str]:
    """Its exit status and what it says."""
    done = subprocess.run(
        [sys.executable, "packaging/demo.py", action, *words],
        cwd=ROOT,
        env=os.environ | {"SMBFS_DEMO": str(state)},
        input=typed,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="needs /dev/fuse")
def test_from_start_to_stop(tmp_path: Path) -> None:
    mountpoint = tmp_path / "mnt"
    try:
        status, said = demo(tmp_path, "start")
        assert status == 0, said
        assert "Read me first.txt" in said
        assert "Same content" in said
        assert re.search(r"^ *//127.0.0.1/demo .*%", said, re.MULTILINE), "df shows the share"
        assert "blocks available" in said, "smbclient shows the server's view"
        assert "umount" in said
        assert mountpoint.is_mount()
        assert "smbfs" in (mountpoint / "Read me first.txt").read_text()
    finally:
        status, said = demo(tmp_path, "stop")
    assert status == 0, said
    assert not mountpoint.is_mount()
    deadline = time.monotonic() + 10
    while named(str(tmp_path)):  # the mount's process says good-bye to the server yet
        assert time.monotonic() < deadline, "something of the demo still runs"
        time.sleep(0.02)
    assert "Nothing to stop" in demo(tmp_path, "stop")[1]


@pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="needs /dev/fuse")
def test_a_share_of_yours_is_left_as_it_was(tmp_path: Path, sambas: Sambas) -> None:
    server = sambas({})
    inside = server["nested"]
    before = sorted(inside.path.rglob("*"))
    words = ["--share", inside.unc, "--user", server.user, "--options", f"port={server.port}"]
    try:
        status, said = demo(tmp_path, "start", *words, typed=f"{server.password}\n")
        assert status == 0, said
        assert "Same content" in said
        assert server.password not in said
    finally:
        demo(tmp_path, "stop")
    assert sorted(inside.path.rglob("*")) == before
    assert not (tmp_path / "credentials").exists()


def test_what_cannot_be_mounted_is_said_and_cleared_away(tmp_path: Path, samba: Samba) -> None:
    words = ["--share", "//127.0.0.1/nowhere", "--options", f"port={samba.port}"]
    status, said = demo(tmp_path, "start", *words, typed="x\n")
    assert status == 1
    assert "The demo stopped." in said
    assert not (tmp_path / "mnt").is_mount()
    assert not (tmp_path / "credentials").exists()
