"""What C libraries and children write to descriptor 2 becomes lines of text."""

from __future__ import annotations

import os
import subprocess

import pytest

from smbfs.fuse.overhear import overheard


def test_lines_of_libraries_and_children() -> None:
    with overheard() as lines:
        os.write(2, b"fuse: mount failed: Permission denied\n\n")
        subprocess.run(["sh", "-c", "echo 'fusermount3: no\xff such' >&2"], check=True)
    assert lines == ["mount failed: Permission denied", "no\xff such"]


def test_descriptor_2_is_given_back(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with overheard():
            os.write(2, b"kept\n")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_without_a_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    with overheard() as lines:
        os.write(2, b"x\n")
    assert lines == ["x"]
