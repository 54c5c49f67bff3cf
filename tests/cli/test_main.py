"""Which command was meant, by its name and its first word."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys

import pytest

from smbfs.cli import main, mount, unmount

Calls = list[tuple[object, ...]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    made: Calls = []

    def mounts(arguments: list[str], *, is_helper: bool) -> int:
        made.append(("mount", is_helper, *arguments))
        return 7

    def unmounts(arguments: list[str]) -> int:
        made.append(("umount", *arguments))
        return 8

    monkeypatch.setattr(mount, "main", mounts)
    monkeypatch.setattr(unmount, "main", unmounts)
    return made


@pytest.mark.parametrize(
    ("typed", "call"),
    [
        ("smbfs //s/x /mnt", ("mount", False, "//s/x", "/mnt")),
        ("smbfs mount //s/x /mnt", ("mount", False, "//s/x", "/mnt")),
        ("mount.smbfs //s/x /mnt", ("mount", True, "//s/x", "/mnt")),
        ("mount.fuse.smbfs mount /mnt", ("mount", True, "mount", "/mnt")),
        ("smbfs umount /mnt", ("umount", "/mnt")),
        ("smbfs unmount -l /mnt", ("umount", "-l", "/mnt")),
        ("smbfs", ("mount", False, "--help")),
    ],
)
def test_the_command_that_was_meant(typed: str, call: tuple[object, ...], calls: Calls) -> None:
    name, *arguments = typed.split()
    assert main.command(name, arguments) == (7 if call[0] == "mount" else 8)
    assert calls == [call]


@pytest.mark.parametrize("start", [main.main, lambda: runpy.run_module("smbfs")])
def test_the_exit_status(start: object, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/sbin/mount.smbfs", "a", "b"])
    assert callable(start)
    with pytest.raises(SystemExit) as error:
        start()
    assert error.value.code == 7
    assert calls == [("mount", True, "a", "b")]


def test_streams_that_were_closed_are_opened() -> None:
    """A descriptor of ours must not become 1 or 2, where others write."""
    code = (
        "import os, sys; from smbfs.cli.main import open_streams; before = open_streams();"
        "assert os.open(os.devnull, os.O_RDONLY) > 2; sys.stderr.write('x'); print('y')"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command], check=False, env=dict(os.environ)
    )
    assert done.returncode == 0
