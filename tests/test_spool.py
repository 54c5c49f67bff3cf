"""What could not be sent: kept as a whole, put back where nothing is newer, exported, forgotten."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from smbfs.cli import main
from smbfs.spool import NotPutBack, Spool, is_below

KEPT = pytest.mark.logs("are kept in")


def keep(spool: Spool, path: str = "folder/file", offset: int = 3, data: bytes = b"abc") -> None:
    parts: list[bytes | memoryview] = [data[:1], memoryview(data)[1:]]
    spool.keep("/mnt/nas", "//nas/music", path, offset, parts, OSError("why"))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A mount, as far as the spool knows: a file in a folder that is as old as it looks."""
    path = tmp_path / "mnt" / "folder" / "file"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"0123456789")
    os.utime(path, (1, 1))
    return tmp_path / "mnt"


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@KEPT
def test_it_is_kept_and_put_back(spool: Spool, place: Path, tmp_path: Path) -> None:
    assert spool.all() == []
    keep(spool)
    [kept] = spool.all()
    assert (kept.mount, kept.share, kept.path) == ("/mnt/nas", "//nas/music", "folder/file")
    assert (kept.offset, kept.size, kept.why) == (3, 3, "why")
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700
    assert all(one.stat().st_mode & 0o777 == 0o600 for one in (tmp_path / "spool").iterdir())
    spool.put_back(kept, place, over_newer=False)
    assert (place / "folder" / "file").read_bytes() == b"012abc6789"
    assert spool.all() == []
    assert list((tmp_path / "spool").iterdir()) == []


@KEPT
def test_what_is_newer_is_not_overwritten_unasked(spool: Spool, place: Path) -> None:
    keep(spool)
    [kept] = spool.all()
    later = time.time() + 60
    os.utime(place / "folder" / "file", (later, later))
    with pytest.raises(NotPutBack, match="was changed since"):
        spool.put_back(kept, place, over_newer=False)
    assert (place / "folder" / "file").read_bytes() == b"0123456789"
    assert spool.all() == [kept]
    spool.put_back(kept, place, over_newer=True)
    assert (place / "folder" / "file").read_bytes() == b"012abc6789"


@KEPT
def test_a_file_that_is_gone_is_not_made_anew(spool: Spool, place: Path) -> None:
    keep(spool)
    (place / "folder" / "file").unlink()
    with pytest.raises(NotPutBack, match="not there any more"):
        spool.put_back(spool.all()[0], place, over_newer=True)
    assert not (place / "folder" / "file").exists()


@KEPT
def test_a_link_is_not_followed(spool: Spool, place: Path, tmp_path: Path) -> None:
    keep(spool)
    (place / "folder" / "file").unlink()
    (tmp_path / "victim").write_bytes(b"")
    (place / "folder" / "file").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic"):
        spool.put_back(spool.all()[0], place, over_newer=True)


@KEPT
def test_copies(spool: Spool, tmp_path: Path) -> None:
    keep(spool)
    keep(spool, offset=8, data=b"xyz")
    for kept in spool.all():
        spool.export(kept, tmp_path / "copies")
    copy = tmp_path / "copies" / "folder" / "file"
    assert copy.read_bytes() == bytes(3) + b"abc" + bytes(2) + b"xyz"
    assert len(spool.all()) == 2


@KEPT
def test_what_makes_no_sense_is_left_alone(spool: Spool, tmp_path: Path) -> None:
    keep(spool)
    for name, text in (("a.json", "{"), ("b.json", "[]"), ("c.json", "{}")):
        (tmp_path / "spool" / name).write_text(text)
    assert len(spool.all()) == 1


@pytest.mark.logs("could not be kept")
def test_a_full_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    keep(Spool(tmp_path / "file"))


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", "a/../../b", "", "a//b"])
def test_a_path_that_leads_elsewhere(path: str) -> None:
    assert not is_below(path)
    assert is_below("a/b c/..d")


# The command


def said(capsys: pytest.CaptureFixture[str], *words: object, status: int = 0) -> str:
    assert main.command("smbfs", ["spool", *map(str, words)]) == status
    streams = capsys.readouterr()
    return streams.out + streams.err


@KEPT
def test_the_list(spool: Spool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "spool"
    told = said(capsys, folder, status=32)
    assert told == f"smbfs: {folder} is not a folder.\n"
    keep(spool)
    keep(spool, path="../elsewhere")
    told = said(capsys, folder, status=1)
    assert told.count("\n") == 1
    assert "/mnt/nas/folder/file: bytes 3 to 5: why" in told
    assert said(capsys, folder, "--discard") == ""
    assert said(capsys, folder) == "Nothing is kept.\n"


@KEPT
def test_back_and_out(
    spool: Spool,
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "spool"
    keep(spool)
    keep(spool, offset=9, data=b"!")
    assert "nothing is mounted" in said(capsys, folder, "--retry", place, status=32).lower()
    monkeypatch.setattr("os.path.ismount", lambda path: True)
    assert said(capsys, folder, "--export", tmp_path / "out") == ""
    assert (tmp_path / "out" / "folder" / "file").exists()
    keep(spool, path="gone")
    keep(spool, path="gone", offset=9)
    told = said(capsys, folder, "--retry", place, status=32)
    assert told.count("is not there any more") == 1, "its other pieces are not tried"
    assert [one.path for one in spool.all()] == ["gone", "gone"]
    assert (place / "folder" / "file").read_bytes() == b"012abc678!"
