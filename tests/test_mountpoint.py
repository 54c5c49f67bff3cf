"""The folder a share is mounted on, judged by a mount table and knobs of the test's own."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from smbfs import mountpoint
from smbfs.mountpoint import Mounted
from smbfs.options import KernelOptions, MountOptions, Service
from tests.processes import running

LINE = "36 35 0:{minor} / {path} rw,nosuid shared:1 - {type} {source} rw,user_id=0\n"
OURS = "//nas/music"


class Table:
    """A mount table on disk, in the kernel's words."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = [LINE.format(minor=1, path="/", type="ext4", source="/dev/sda1")]
        self.write()

    def mount(self, path: Path, type: str = "fuse.smbfs", source: str = OURS) -> None:
        minor = 40 + len(self.lines)
        escaped = str(path).replace("\\", r"\134").replace(" ", r"\040")
        self.lines.append(LINE.format(minor=minor, path=escaped, type=type, source=source))
        self.write()

    def write(self) -> None:
        self.path.write_text("".join(self.lines))


@pytest.fixture(autouse=True)
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    made = Table(tmp_path / "mountinfo")
    monkeypatch.setattr(mountpoint, "TABLE", made.path)
    monkeypatch.setattr(mountpoint, "DEVICE", Path("/dev/null"))
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mnt"
    made.mkdir()
    return made


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


# The table


def test_the_table_is_read(table: Table, tmp_path: Path) -> None:
    table.mount(tmp_path / "a b\\c", source="//nas/my\\040music")
    found = mountpoint.mounted_on(str(tmp_path / "a b\\c"))
    assert found == Mounted("0:41", str(tmp_path / "a b\\c"), "fuse.smbfs", "//nas/my music")


@pytest.mark.parametrize("odd", ["\x0b", "\x0c", "\r", "\x1c", "\x85", "\u2028", "#"])
def test_a_path_that_python_would_take_for_several_lines(
    odd: str, table: Table, folder: Path
) -> None:
    table.path.write_text(
        "".join(table.lines)
        + LINE.format(minor=41, path=f"/mnt/a{odd}b", type="fuse.smbfs", source=OURS),
        newline="",
    )
    assert mountpoint.mounted_on(f"/mnt/a{odd}b") is not None
    assert len(list(mountpoint.mounts())) == 2


def test_the_topmost_counts(table: Table, folder: Path) -> None:
    table.mount(folder, "ext4", "/dev/sdb1")
    table.mount(folder)
    found = mountpoint.mounted_on(str(folder))
    assert found is not None
    assert found.source == OURS
    assert mountpoint.mounted_on("/nowhere") is None


def test_what_lies_beneath(monkeypatch: pytest.MonkeyPatch) -> None:
    places = ["/mnt/nas", "/mnt/nas/a", "/mnt/nas/b/c d", "/mnt/nasty", "/"]
    found = [Mounted("0:1", place, "ext4", "/dev/sda") for place in places]
    monkeypatch.setattr(mountpoint, "mounts", lambda: iter(found))
    assert mountpoint.beneath("/mnt/nas") == [(b"a",), (b"b", b"c d")]
    assert mountpoint.beneath("/mnt/nas/a") == []


@pytest.mark.parametrize(
    ("type", "source", "is_ours"),
    [
        ("fuse.smbfs", OURS, True),
        ("fuse.smbfs", "a name of its own", True),
        ("fuse.other", OURS, True),  # subtype=other
        ("fuse", OURS, True),
        ("fuse.sshfs", "me@host:", False),
        ("cifs", OURS, False),
    ],
)
def test_what_is_ours(type: str, source: str, is_ours: bool) -> None:
    assert Mounted("0:1", "/mnt", type, source).is_ours == is_ours


def test_the_real_table() -> None:
    mountpoint.TABLE = Path("/proc/self/mountinfo")
    assert mountpoint.mounted_on("/") is not None


# The check


def refused(path: Path | str) -> OSError:
    with pytest.raises(OSError, match=r".") as error:
        mountpoint.check(str(path))
    return error.value


def test_a_folder_that_is_fit(
    folder: Path, root: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mountpoint.check(str(folder)) == str(folder)
    (tmp_path / "link").symlink_to(folder)
    assert mountpoint.check(str(tmp_path / "link")) == str(folder)
    monkeypatch.chdir(tmp_path)
    assert mountpoint.check("mnt/") == str(folder)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("none", "does not exist"),
        ("none/at/all", "does not exist"),
        ("mountinfo", "is not a folder"),
        ("mountinfo/x", "cannot be used: not a directory"),
        ("loop", "too many levels"),
    ],
)
def test_what_is_no_folder(path: str, said: str, tmp_path: Path, root: None) -> None:
    (tmp_path / "loop").symlink_to("loop")
    error = refused(tmp_path / path)
    assert said in (error.strerror or "").lower()


def test_a_folder_that_cannot_be_reached(
    folder: Path, user: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stat(path: str) -> os.stat_result:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "stat", stat)
    assert "cannot be used: permission denied" in str(refused(folder))


def test_no_device(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mountpoint, "DEVICE", tmp_path / "none")
    assert "the kernel module fuse is not loaded" in str(refused(folder))


def test_a_user_who_may_not_write(
    folder: Path, user: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "you may not write to" in str(refused(folder))


@pytest.mark.parametrize("where", [None, "/bin/fusermount3"])
def test_a_user_needs_fusermount3(
    where: str | None, folder: Path, user: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: where)
    if where is None:
        assert "install the package fuse3" in str(refused(folder))
    else:
        assert mountpoint.check(str(folder)) == str(folder)


# What is mounted there already


def test_another_file_system_may_be_covered(table: Table, folder: Path, root: None) -> None:
    table.mount(folder, "ext4", "/dev/sdb1")
    assert mountpoint.check(str(folder)) == str(folder)


def test_a_mount_that_lives_is_in_the_way(table: Table, folder: Path, root: None) -> None:
    table.mount(folder)
    assert refused(folder).errno == errno.EBUSY
    assert f"{OURS} is already mounted on" in str(refused(folder))


def test_a_mount_that_answers_nothing(
    table: Table, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table.mount(folder)
    monkeypatch.setattr(mountpoint, "is_alive", lambda path: None)
    error = refused(folder)
    assert error.errno == errno.EBUSY
    assert f"unmount it with `smbfs umount -l {folder}`" in str(error)


@pytest.mark.logs("WARNING smbfs.mountpoint: .*taking off")
@pytest.mark.parametrize("status", [0, 32])
def test_a_dead_mount_is_taken_off(
    status: int, table: Table, folder: Path, root: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = []

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, status, "", "no\n")

    table.mount(folder)
    monkeypatch.setattr(mountpoint, "is_alive", lambda path: False)
    monkeypatch.setattr(subprocess, "run", run)
    if status == 0:
        assert mountpoint.check(str(folder)) == str(folder)
    else:
        assert f"a dead mount stays on {folder}: no" in str(refused(folder))
    assert commands == [["umount", "-i", "-c", "-l", "--", str(folder)]]


def fake_stat(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program stat that does this."""
    program = tmp_path / "bin" / "stat"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("script", "is_alive"),
    [
        ("exit 0", True),
        ("echo 'stat: Permission denied' >&2; exit 1", True),
        ("echo 'stat: Transport endpoint is not connected' >&2; exit 1", False),
        ("echo 'stat: Software caused connection abort' >&2; exit 1", False),
    ],
)
def test_who_lives(
    script: str, is_alive: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_stat(script, tmp_path, monkeypatch)
    assert mountpoint.is_alive("/mnt") is is_alive


@pytest.mark.parametrize("is_stuck", [False, True])
def test_who_does_not_answer(
    is_stuck: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = tmp_path / "pid"
    fake_stat(f"echo $$ >{pid}; exec sleep 60", tmp_path, monkeypatch)
    if is_stuck:  # in the kernel, where no signal reaches it
        monkeypatch.setattr(mountpoint, "HASTE_S", 0.05)
        monkeypatch.setattr(subprocess.Popen, "kill", lambda process: None)
    assert mountpoint.is_alive("/mnt", 0.2) is None
    asker = int(pid.read_text())
    assert (asker in running()) == is_stuck
    if is_stuck:
        monkeypatch.undo()
        os.kill(asker, 9)
        os.waitpid(asker, 0)


# Unmounting


def test_the_command_that_unmounts(user: None) -> None:
    assert mountpoint.unmount_command("/mnt", lazy=False) == ["fusermount3", "-u", "--", "/mnt"]
    lazily = ["fusermount3", "-u", "-z", "--", "/mnt"]
    assert mountpoint.unmount_command("/mnt", lazy=True) == lazily


@pytest.mark.parametrize(
    ("failing", "lazily"), [([], [False]), ([False], [False, True]), ([False, True], [False, True])]
)
async def test_politely_then_lazily(
    failing: list[bool], lazily: list[bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told"

    def command(path: str, *, lazy: bool) -> list[str]:
        return ["sh", "-c", f"echo {lazy} >>{told}; ! {str(lazy in failing).lower()}"]

    monkeypatch.setattr(mountpoint, "unmount_command", command)
    await mountpoint.unmount("/mnt")
    assert told.read_text().split() == [str(lazy) for lazy in lazily]


async def test_what_is_mapped_is_written_back(tmp_path: Path) -> None:
    await mountpoint.write_back(str(tmp_path))
    await mountpoint.write_back(str(tmp_path / "none"))  # gone meanwhile: nothing to write


async def test_a_program_that_is_stuck_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = tmp_path / "pid"
    command = ["sh", "-c", f"echo $$ >{pid}; exec sleep 60"]
    monkeypatch.setattr(mountpoint, "unmount_command", lambda path, lazy: command)
    with trio.move_on_after(0.1) as scope:
        await mountpoint.unmount("/mnt")
    assert scope.cancelled_caught
    assert int(pid.read_text()) not in running()


# What FUSE and the kernel are told


def options(**kernel: Any) -> MountOptions:
    return MountOptions(service=Service("nas", "music"), kernel=KernelOptions(**kernel))


@pytest.mark.parametrize(
    ("kernel", "told"),
    [
        ({}, {"fsname=//nas/music", "subtype=smbfs", "default_permissions"}),
        ({"read_only": True}, {"ro"}),
        ({"suid": True, "dev": True}, {"suid", "dev"}),
        ({"exec": False}, {"noexec"}),
        ({"allow_other": True}, {"allow_other"}),
        ({"allow_root": True}, {"allow_root"}),
        ({"auto_unmount": True}, {"auto_unmount"}),
        ({"fsname": "a,b\\c"}, {r"fsname=a\,b\\c"}),
        ({"contexts": ("context=x",)}, {"context=x"}),
    ],
    ids=lambda value: ",".join(sorted(value)),  # every process must give the same name
)
def test_fuse_options(kernel: dict[str, Any], told: set[str]) -> None:
    said = mountpoint.fuse_options(options(**kernel))
    assert told <= set(said)
    assert ("noexec" in said) == ("noexec" in told)


def test_no_permissions_and_no_subtype() -> None:
    assert mountpoint.fuse_options(options(default_permissions=False, subtype="")) == [
        "fsname=//nas/music"
    ]


@pytest.mark.parametrize(
    ("text", "is_allowed"),
    [("# user_allow_other\n", False), ("mount_max = 9\n user_allow_other \n", True), (None, False)],
)
def test_whether_users_may_give_access_to_others(
    text: str | None, is_allowed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if text is not None:
        (tmp_path / "fuse.conf").write_text(text)
    monkeypatch.setattr(mountpoint, "FUSE_CONF", tmp_path / "fuse.conf")
    assert mountpoint.others_allowed() == is_allowed


def test_knobs_are_turned_as_far_as_we_may(
    table: Table,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    expect_log: Callable[[str], None],
) -> None:
    monkeypatch.setattr(mountpoint, "SYS", tmp_path)
    mountpoint.tune(str(folder), options())  # not mounted: nothing to turn
    table.mount(folder)
    knob = tmp_path / "fs/fuse/connections/41/max_background"
    knob.parent.mkdir(parents=True)
    mountpoint.tune(str(folder), options())
    assert knob.read_text() == "64\n"
