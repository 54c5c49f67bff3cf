"""``smbfs umount`` without a mount: what is said, and which program is run."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from smbfs import mountpoint
from smbfs.cli import unmount
from smbfs.mountpoint import Mounted


class Runs:
    """Stands for subprocess.run."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.status, self.said = 0, ""

    def __call__(self, command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        if self.status < 0:
            raise FileNotFoundError(2, "No such file", command[0])
        return subprocess.CompletedProcess(command, self.status, "", self.said)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Runs:
    stand_in = Runs()
    mounted = Mounted("0:50", str(tmp_path), "fuse.smbfs", "//nas/music")
    monkeypatch.setattr(subprocess, "run", stand_in)
    monkeypatch.setattr(mountpoint, "mounts", lambda: iter([mounted]))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return stand_in


@pytest.mark.parametrize(
    ("switches", "command"),
    [([], ["umount", "-i", "-c", "--"]), (["-l"], ["umount", "-i", "-c", "-l", "--"])],
)
def test_it_comes_off(switches: list[str], command: list[str], runs: Runs, tmp_path: Path) -> None:
    assert unmount.main([*switches, str(tmp_path)]) == 0
    assert runs.commands == [[*command, str(tmp_path)]]


@pytest.mark.parametrize(
    ("status", "said", "sentence"),
    [
        (32, "umount: /mnt: target is busy.", "is in use by a program; close it, or use -l"),
        (1, "fusermount3: no way", "fusermount3: no way."),
        (1, "", "Umount failed."),
        (-1, "", "umount is missing: install the package fuse3."),
    ],
)
def test_it_does_not(
    status: int,
    said: str,
    sentence: str,
    runs: Runs,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs.status, runs.said = status, said
    assert unmount.main([str(tmp_path)]) == 32
    assert sentence.lower() in capsys.readouterr().err.lower()


@pytest.mark.parametrize("place", ["sub", "no/such/folder"])
def test_nothing_is_mounted_there(
    place: str, runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sub").mkdir()
    assert unmount.main([str(tmp_path / place)]) == 32
    assert capsys.readouterr().err == f"smbfs: No share is mounted on {tmp_path / place}.\n"
    assert runs.commands == []


def test_something_else_is_mounted_there(
    runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Mounted("0:50", str(tmp_path), "ext4", "/dev/sda1")
    monkeypatch.setattr(mountpoint, "mounts", lambda: iter([other]))
    assert unmount.main([str(tmp_path)]) == 32
    assert runs.commands == []


@pytest.mark.parametrize(
    ("words", "status"), [(["-h"], 0), (["--help", "x"], 0), ([], 1), (["a", "b"], 1), (["-x"], 1)]
)
def test_usage(words: list[str], status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert unmount.main(words) == status
    assert "Usage: smbfs umount" in "".join(capsys.readouterr())
