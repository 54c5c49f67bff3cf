"""What was lost: written down in one piece, read back, joined for people."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from smbfs import losses
from smbfs.losses import Loss, Losses, joined


def note(where: Losses, offset: int = 0, size: int = 10, path: str = "file") -> None:
    where.note("/mnt", "//nas/music", path, offset, size, OSError(5, "why"))


def ranges(found: list[Loss]) -> list[tuple[str, int, int]]:
    return [(one.path, one.offset, one.size) for one in found]


def test_it_is_read_back(tmp_path: Path) -> None:
    where = Losses(tmp_path)
    assert where.all() == []
    note(where, 5, 7, "a \udcff name")
    [found] = where.all()
    assert (found.mount, found.share, found.why) == ("/mnt", "//nas/music", "why")
    assert ranges([found]) == [("a \udcff name", 5, 7)]
    assert found.at.endswith("+00:00")
    assert where.path.stat().st_mode & 0o777 == 0o600
    where.clear()
    assert where.all() == []


def test_what_makes_no_sense_is_left_out(tmp_path: Path) -> None:
    where = Losses(tmp_path)
    note(where)
    with where.path.open("a") as file:
        file.write('{\n[1]\n{"at": 1}\n')
    note(where, 20)
    assert ranges(where.all()) == [("file", 0, 10), ("file", 20, 10)]


def test_it_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "LONGEST", 1000)
    where = Losses(tmp_path)
    for number in range(100):
        note(where, number)
    found = ranges(where.all())
    assert found[-1] == ("file", 99, 10)
    assert 5 < len(found) < 30
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 3000


@pytest.mark.logs("could not be written to")
def test_who_cannot_write_it_down_goes_on(tmp_path: Path) -> None:
    note(Losses(tmp_path / "absent"))


def test_a_link_is_not_followed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    where = Losses(tmp_path)
    where.path.symlink_to(tmp_path / "elsewhere")
    with caplog.at_level(logging.CRITICAL):
        note(where)
    assert not (tmp_path / "elsewhere").exists()


def test_ranges_that_touch_are_one(tmp_path: Path) -> None:
    where = Losses(tmp_path)
    for offset, size in ((10, 10), (0, 10), (15, 10), (40, 1)):
        note(where, offset, size)
    note(where, 0, 1, "other")
    assert ranges(joined(where.all())) == [("file", 0, 25), ("file", 40, 1), ("other", 0, 1)]
