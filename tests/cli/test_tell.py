"""`smbfs status` and `smbfs errors`: what they say, and with which exit status they end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from smbfs import control, mountpoint
from smbfs.cli import main, tell
from smbfs.losses import Losses
from smbfs.mountpoint import Mounted

NAS = Mounted("0:41", "/mnt/nas", "fuse.smbfs", "//nas/music", 1000)
CONNECTION = {
    "dialect": "3.1.1",
    "signing": "AES-128-GMAC",
    "encryption": "none",
    "guest": False,
    "requests_under_way": 2,
    "credits": {"free": 500, "all": 512},
}
FILES = {
    "open": 3,
    "away": 0,
    "kept_open": 2,
    "read_ahead_bytes": 3 << 19,
    "unsent_bytes": 100,
    "memory_bytes": 64 << 20,
}


def ago(**since: float) -> str:
    return (datetime.now(UTC) - timedelta(**since)).isoformat(timespec="seconds")


class Mounts:
    """The mount table, and what each mount answers."""

    def __init__(self) -> None:
        self.table = [NAS]
        self.answer: dict[str, Any] = {
            "mountpoint": "/mnt/nas",
            "share": "//nas/music",
            "state": "connected",
            "since": ago(minutes=5),
            "trouble": "",
            "connections": 1,
            "connection": dict(CONNECTION),
            "files": dict(FILES),
            "last_errors": [],
        }
        self.error = ""

    def ask(self, device: str, uid: int, command: str) -> dict[str, Any]:
        assert (device, uid, command) == ("0:41", 1000, "status")
        if self.error:
            raise control.NobodyThere(self.error)
        return self.answer


@pytest.fixture
def mounts(monkeypatch: pytest.MonkeyPatch) -> Mounts:
    made = Mounts()

    def ours() -> Iterator[Mounted]:
        return iter(made.table)

    monkeypatch.setattr(mountpoint, "ours", ours)
    monkeypatch.setattr(mountpoint, "resolved", lambda place: place)
    monkeypatch.setattr(control, "ask", made.ask)
    return made


def said(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    assert main.command("smbfs", list(words)) == status
    streams = capsys.readouterr()
    return streams.out + streams.err


def test_a_mount_that_is_well(mounts: Mounts, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "status") == (
        "//nas/music on /mnt/nas\n"
        "  state        connected for 5 min\n"
        "  protocol     SMB 3.1.1, signed with AES-128-GMAC, not encrypted\n"
        "  requests     2 under way, 500 of 512 credits free\n"
        "  files        3 open, 2 kept open\n"
        "  memory       100 B not sent yet, 1.5 MiB read ahead, at most 64.0 MiB\n"
    )


def test_one_whose_server_is_away(mounts: Mounts, capsys: pytest.CaptureFixture[str]) -> None:
    mounts.answer |= {"state": "away", "trouble": "nas refuses", "connection": None}
    mounts.answer["files"]["away"] = 3
    mounts.answer["last_errors"] = [{"at": ago(), "message": f"error {n}"} for n in range(9)]
    told = said(capsys, "status", "/mnt/nas")
    assert "state        the server is away: nas refuses; it is looked for" in told
    assert "protocol" not in told
    assert "3 open, 2 kept open, 3 waiting to come back" in told
    assert told.count("error ") == 5
    assert told.count("last errors") == 1
    assert "error 8" in told


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"connections": 3}, "connected for 5 min, connection number 3"),
        ({"state": "lost"}, "no connection for 5 min"),
        ({"state": "connecting"}, "connecting"),
        ({"state": "ending"}, "being unmounted"),
        ({"state": "new"}, "new"),
    ],
)
def test_states(
    mounts: Mounts, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], words: str
) -> None:
    mounts.answer |= changes
    assert f"  state        {words}" in said(capsys, "status")


@pytest.mark.parametrize(
    ("since", "words"),
    [
        ({"seconds": 1}, "connected for "),
        ({"hours": 3, "minutes": 5}, "connected for 3 h 5 min"),
        ({"days": 3}, "connected for 3 days"),
    ],
)
def test_for_how_long(
    mounts: Mounts, capsys: pytest.CaptureFixture[str], since: dict[str, float], words: str
) -> None:
    mounts.answer["since"] = ago(**since)
    assert f"  state        {words}" in said(capsys, "status")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"encryption": "AES-128-GCM"}, "encrypted with AES-128-GCM"),
        ({"signing": "none", "guest": True}, "neither signed nor encrypted, as guest"),
    ],
)
def test_how_it_is_secured(
    mounts: Mounts, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], words: str
) -> None:
    mounts.answer["connection"] |= changes
    assert f"SMB 3.1.1, {words}\n" in said(capsys, "status")


def test_one_that_does_not_answer(mounts: Mounts, capsys: pytest.CaptureFixture[str]) -> None:
    mounts.error = "its smbfs does not answer"
    told = said(capsys, "status", status=32)
    assert told == "//nas/music on /mnt/nas\n  no answer    its smbfs does not answer\n"
    [found] = json.loads(said(capsys, "status", "--json", status=32))
    assert found == {"mountpoint": "/mnt/nas", "share": "//nas/music", "error": mounts.error}


def test_none_at_all(mounts: Mounts, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "status", "/elsewhere", status=32) == (
        "smbfs: No share is mounted on /elsewhere.\n"
    )
    mounts.table.clear()
    assert said(capsys, "status") == "No share is mounted.\n"
    assert said(capsys, "status", "--json") == "[]\n"


def test_for_programs(mounts: Mounts, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(said(capsys, "status", "--json")) == [mounts.answer]


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (5 << 30, "5.0 GiB"),
        (1 << 50, "1024.0 TiB"),
    ],
)
def test_sizes(size: int, words: str) -> None:
    assert tell._bytes(size) == words


# Errors


@pytest.fixture
def losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mounts: Mounts) -> Losses:
    monkeypatch.setenv("SMBFS_STATE_DIR", str(tmp_path))
    made = Losses(tmp_path)
    made.note("/mnt/nas", "//nas/music", "a/file", 0, 10, OSError("the disk is full"))
    made.note("/mnt/nas", "//nas/music", "a/file", 10, 10, OSError("the disk is full"))
    made.note("/mnt/other", "//nas/video", "film", 5, 1, OSError("gone"))
    return made


def test_what_was_lost(losses: Losses, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = said(capsys, "errors", status=1).splitlines()
    assert "/mnt/nas/a/file: bytes 0 to 19 were not written: the disk is full" in first
    assert "/mnt/other/film: bytes 5 to 5 were not written: gone" in second
    assert said(capsys, "errors", "/mnt/other", status=1).count("\n") == 1
    assert said(capsys, "errors", "/mnt/third") == "Nothing was lost.\n"
    told = json.loads(said(capsys, "errors", "--json", status=1))
    assert [one["size"] for one in told] == [20, 1]
    assert said(capsys, "errors", "--clear") == ""
    assert said(capsys, "errors") == "Nothing was lost.\n"


def test_what_cannot_be_read(losses: Losses, capsys: pytest.CaptureFixture[str]) -> None:
    losses.path.unlink()
    losses.path.mkdir()
    told = said(capsys, "errors", status=32)
    assert told == "smbfs: Cannot read what was lost: Is a directory.\n"


def test_a_place_that_is_nowhere(
    losses: Losses, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nowhere(place: str) -> str:
        raise FileNotFoundError(2, "no such file", place)

    monkeypatch.setattr(mountpoint, "resolved", nowhere)
    assert said(capsys, "errors", "/mnt/other", status=1).count("\n") == 1, "it was once"
