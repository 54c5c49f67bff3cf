"""Where control sockets and losses are, and that nobody else has made that place."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from smbfs import places


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMBFS_RUN_DIR", raising=False)
    monkeypatch.delenv("SMBFS_STATE_DIR", raising=False)


def test_root_s() -> None:
    assert places.run_directory(0) == Path("/run/smbfs")
    assert places.state_directory(0) == Path("/var/lib/smbfs")


def test_a_user_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "USERS_RUN", tmp_path)
    assert places.run_directory(1234) == Path("/tmp/smbfs-1234")
    (tmp_path / "1234").mkdir()
    assert places.run_directory(1234) == tmp_path / "1234" / "smbfs"
    nobody = pwd.getpwnam("nobody")
    assert places.state_directory(nobody.pw_uid) == Path(nobody.pw_dir) / ".local/state/smbfs"
    with pytest.raises(OSError, match="has no home"):
        places.state_directory(3_999_999_999)


def test_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMBFS_RUN_DIR", "/a")
    monkeypatch.setenv("SMBFS_STATE_DIR", "/b")
    assert (places.run_directory(0), places.state_directory(7)) == (Path("/a"), Path("/b"))


def test_it_is_ours_alone(tmp_path: Path) -> None:
    made = places.own(tmp_path / "a" / "b")
    assert made.stat().st_mode & 0o777 == 0o700
    assert places.own(made) == made
    made.chmod(0o777)
    with pytest.raises(PermissionError, match="not ours alone"):
        places.own(made)
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(PermissionError):
        places.own(tmp_path / "link")
    if os.geteuid() == 0:
        other = tmp_path / "other"
        other.mkdir(mode=0o700)
        os.chown(other, 1234, 1234)
        with pytest.raises(PermissionError):
            places.own(other)
