"""Whoever dies leaves no dead mount; whoever lives is left alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from smbfs import guardian
from smbfs.fuse.native.attach import attach
from smbfs.guardian import Guardian
from tests.mounted import abort_switch


@pytest.fixture
def script(tmp_path: Path) -> str:
    """A program that notes what it was asked to take off."""
    path = tmp_path / "take-off"
    path.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/done\n')
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def here() -> tuple[str, str]:
    """Something that is mounted, by its device and its path."""
    line = Path("/proc/self/mountinfo").read_text().splitlines()[0].split()
    assert line[3] == "/"
    return line[2], line[4]


def die(one: Guardian) -> int:
    """End the pipe as the death of the daemon would; what became of the guardian."""
    process = one._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    return process.wait(10)


def test_a_mount_whose_daemon_dies_is_taken_off(
    tmp_path: Path, script: str, here: tuple[str, str]
) -> None:
    device, path = here
    one = Guardian(path, device, [script, "-l", "--", path])
    assert die(one) == 0
    assert (tmp_path / "done").read_text().splitlines() == ["-l", "--", path]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to mount")
@pytest.mark.parametrize("name", ["a b", "a#b", "back\\slash"])
def test_whatever_the_folder_is_called(tmp_path: Path, script: str, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "one", folder], check=True)
    try:
        device = device_of(folder)
        one = Guardian(str(folder), device, [script, "--", str(folder)])
        subprocess.run(["mount", "-t", "tmpfs", "two", folder], check=True)
        above = Guardian(str(folder), device_of(folder), [script, "--", str(folder)])
        assert die(one) == 0
        assert not (tmp_path / "done").exists()  # something else lies above it
        assert die(above) == 0
        assert (tmp_path / "done").read_text().splitlines() == ["--", str(folder)]
    finally:
        subprocess.run(["umount", folder], check=True)
        subprocess.run(["umount", folder], check=True)


def device_of(folder: Path) -> str:
    """The device of what is mounted on a folder, as the kernel's table has it."""
    number = folder.stat().st_dev
    return f"{os.major(number)}:{os.minor(number)}"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to mount")
def test_who_waits_is_let_go_before_another_mount_can_have_the_number(tmp_path: Path) -> None:
    folder, seen, take_off = tmp_path / "folder", tmp_path / "seen", tmp_path / "take-off"
    folder.mkdir()
    fd = attach(str(folder), ["fsname=nobody"])  # kept open, and nobody answers
    try:
        switch = abort_switch(folder)
        # A folder of an aborted mount gives an error at once; one that nobody serves would wait.
        take_off.write_text(f'#!/bin/sh\ntimeout 2 ls "$2"; echo $? >{seen}; umount -l "$2"\n')
        take_off.chmod(0o755)
        one = Guardian(str(folder), f"0:{switch.parent.name}", [str(take_off), "--", str(folder)])
        assert die(one) == 0
        assert seen.read_text() == "2\n"
    finally:
        subprocess.run(["umount", "-l", folder], check=False)
        os.close(fd)


def test_what_is_not_ours_any_more_stays(tmp_path: Path, script: str) -> None:
    one = Guardian("/", "0:9999", [script, "--", "/"])
    assert die(one) == 0
    assert not (tmp_path / "done").exists()


def test_one_that_is_dismissed_does_nothing(
    tmp_path: Path, script: str, here: tuple[str, str]
) -> None:
    device, path = here
    one = Guardian(path, device, [script, "--", path])
    process = one._process
    assert process is not None
    one.dismiss()
    assert process.returncode == 0
    assert not (tmp_path / "done").exists()
    one.dismiss()  # once is enough


def test_its_command_line_says_nothing_of_the_mount(script: str) -> None:
    one = Guardian("/mnt/a b", "0:9999", [script, "--", "/mnt/a b"])
    process = one._process
    assert process is not None
    said = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    assert b"/mnt" not in said
    one.dismiss()


@pytest.mark.logs("nobody will take the mount off")
def test_a_mount_without_one_is_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise OSError(2, "no shell")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    one = Guardian("/mnt", "0:1", ["umount", "--", "/mnt"])
    one.dismiss()


def test_one_that_is_stuck_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guardian, "GOODBYE_S", 0.05)
    monkeypatch.setattr(guardian, "SCRIPT", "exec sleep 60")
    one = Guardian("/mnt", "0:1", ["umount", "--", "/mnt"])
    process = one._process
    assert isinstance(process, subprocess.Popen)
    one.dismiss()
    process.kill()
    process.wait(10)
