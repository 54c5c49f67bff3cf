"""Mounted by mount(8), from fstab, and by an ordinary user."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from smbfs.mountpoint import others_allowed
from tests.cli.live import wait_until
from tests.mounted import SMBFS, MountedShare
from tests.processes import named
from tests.samba import Place, Samba
from tests.transports import MATRIX

HELPER = Path("/sbin/mount.smbfs")
NOBODY = pwd.getpwnam("nobody")
pytestmark = [
    pytest.mark.usefixtures("transport"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who may be anybody"),
]


def said(*command: str) -> str:
    """What a program says; it must succeed."""
    with tempfile.TemporaryFile("w+") as output:  # a pipe would be kept open by a daemon's child
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=30,
            check=False,
        )
        output.seek(0)
        text = output.read()
    assert done.returncode == 0, text
    return text


@pytest.fixture
def helper() -> Iterator[Path]:
    """/sbin/mount.smbfs, as an installation links it."""
    if HELPER.is_symlink() or HELPER.exists():
        assert HELPER.resolve() == SMBFS.resolve(), f"{HELPER} is not of this tree: remove it"
        yield HELPER
        return
    HELPER.symlink_to(SMBFS)
    yield HELPER
    HELPER.unlink()


@pytest.fixture
def mounted(samba: Samba, share: Place) -> Iterator[MountedShare]:
    """A folder to mount on and to clean up after."""
    made = MountedShare(samba)
    yield made
    found = named(str(made.path))
    made.pid = found[0] if found else 0
    made.close()


def test_mount_8(helper: Path, mounted: MountedShare) -> None:
    options = ",".join(["noatime", "_netdev", *mounted.options])
    said("mount", "-t", "smbfs", mounted.service, str(mounted.path), "-o", options)
    assert mounted.is_mounted()
    (mounted.path / "file").write_text("x")
    said("umount", str(mounted.path))
    assert not mounted.is_mounted()
    assert (mounted.behind / "file").read_text() == "x"


def test_a_line_of_fstab(helper: Path, mounted: MountedShare, tmp_path: Path) -> None:
    """One that was cifs's, with only its type changed."""
    options = f"{','.join(mounted.options)},uid=1000,iocharset=utf8,vers=3.0,_netdev,nofail"
    table = tmp_path / "fstab"
    table.write_text(f"{mounted.service} {mounted.path} smbfs {options} 0 0\n")
    said("mount", "-T", str(table), str(mounted.path))
    assert mounted.is_mounted()
    (mounted.behind / "file").touch()
    assert (mounted.path / "file").stat().st_uid == 1000


def test_a_fake_mount(helper: Path, mounted: MountedShare) -> None:
    options = ",".join(mounted.options)
    said("mount.smbfs", "-f", mounted.service, str(mounted.path), "-o", options)
    assert not mounted.is_mounted()


@pytest.mark.parametrize(("suffix", "status"), [("", 32), (",nofail", 0)])
def test_a_server_that_is_away_at_boot(
    suffix: str, status: int, helper: Path, mounted: MountedShare
) -> None:
    options = f"port=1,credentials={mounted.server.credentials},{MATRIX.option()}{suffix}"
    words = ["mount", "-t", "smbfs", mounted.service, str(mounted.path), "-o", options]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == status
    assert "refuses the connection" in done.stderr
    assert not mounted.is_mounted()


# As a user

# Root's python may lie where others cannot look; this lets the user through, and no further.
AS_USER = [
    "setpriv",
    f"--reuid={NOBODY.pw_uid}",
    f"--regid={NOBODY.pw_gid}",
    "--clear-groups",
    "--inh-caps=-all,+dac_read_search",
    "--ambient-caps=-all,+dac_read_search",
]


class User:
    """An ordinary user with a folder, a mount point and credentials of his own."""

    def __init__(self, home: Path, inside: list[str], table: Path) -> None:
        self.home, self.mountpoint = home, home / "mnt"
        self.inside = inside  # what a command begins with, to run where the user is
        self.table = table

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command as the user."""
        # The user may not write where coverage keeps its data, and it would say so.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")}
        return subprocess.run(
            [*self.inside, *AS_USER, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            env=environment,
            check=False,
        )

    def said(self, *words: str) -> str:
        """What a command says that must succeed."""
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def mount(self, samba: Samba, options: str = "") -> subprocess.CompletedProcess[str]:
        """Mount the share."""
        wanted = f"port={samba.port},credentials={self.home / 'credentials'},{MATRIX.option()}"
        if options:
            wanted += f",{options}"
        return self.run(str(SMBFS), f"//{samba.host}/share", str(self.mountpoint), "-o", wanted)

    def mounted(self) -> str:
        """The line of the mount table, if there is one."""
        lines = self.table.read_text().splitlines()
        return "".join(line for line in lines if str(self.mountpoint) in line)


@contextlib.contextmanager
def a_device_for_all(home: Path) -> Iterator[tuple[list[str], Path]]:
    """Where /dev/fuse may be opened by everybody, as udev has it: here, or in a private view."""
    if os.stat("/dev/fuse").st_mode & 0o006 == 0o006:
        yield [], Path("/proc/self/mounts")
        return
    node = home / "fuse"
    os.mknod(node, stat.S_IFCHR, os.stat("/dev/fuse").st_rdev)
    node.chmod(0o666)
    script = f"mount --bind {node} /dev/fuse && echo ready && exec cat"
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as keeper:
        assert keeper.stdout is not None
        assert keeper.stdout.readline() == b"ready\n"
        yield ["nsenter", "-t", str(keeper.pid), "-m"], Path(f"/proc/{keeper.pid}/mounts")


@pytest.fixture
def user(samba: Samba) -> Iterator[User]:
    """The user nobody, who has a folder for once."""
    home = Path(tempfile.mkdtemp(prefix="smbfs-user-"))
    (home / "mnt").mkdir()
    shutil.copy(samba.credentials, home / "credentials")
    for path in (home, home / "mnt", home / "credentials"):
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    with a_device_for_all(home) as (inside, table):
        one = User(home, inside, table)
        yield one
        if one.mounted():
            subprocess.run([*inside, "umount", "-l", str(one.mountpoint)], check=False)
    shutil.rmtree(home)


def test_a_user_mounts_through_fusermount3(user: User, samba: Samba, share: Place) -> None:
    done = user.mount(samba)
    assert (done.returncode, done.stderr) == (0, "")
    line = user.mounted()
    assert line.startswith(f"//{samba.host}/share {user.mountpoint} fuse.smbfs ")
    assert f"user_id={NOBODY.pw_uid}" in line
    assert "allow_other" not in line
    user.said("sh", "-c", f"echo written > {user.mountpoint}/file")
    owner = user.said("stat", "-c", "%u %g", f"{user.mountpoint}/file")
    assert owner == f"{NOBODY.pw_uid} {NOBODY.pw_gid}\n"
    user.said(str(SMBFS), "umount", str(user.mountpoint))
    assert user.mounted() == ""
    assert (share.path / "file").read_text() == "written\n"


def test_a_signal_ends_a_users_mount(user: User, samba: Samba, share: Place) -> None:
    assert user.mount(samba).returncode == 0
    [pid] = named(str(user.mountpoint))
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not named(str(user.mountpoint)))
    assert user.mounted() == ""


def test_a_user_may_not_let_others_in(user: User, samba: Samba) -> None:
    if others_allowed():
        pytest.skip("users may, on this machine")
    done = user.mount(samba, "allow_other")
    assert done.returncode == 1
    assert "needs the line `user_allow_other` in /etc/fuse.conf" in done.stderr
    assert user.mounted() == ""


def test_a_user_may_not_mount_where_he_may_not_write(user: User, samba: Samba) -> None:
    user.mountpoint.chmod(0o555)
    done = user.mount(samba)
    assert done.returncode == 32
    place = user.mountpoint
    assert done.stderr == f"smbfs: You may not write to {place}, so not mount on it either.\n"
    assert user.mounted() == ""


def test_what_fusermount3_says_is_in_the_sentence(user: User, samba: Samba) -> None:
    """Another's folder that everybody may write to: fusermount3 lets nobody mount there."""
    os.chown(user.mountpoint, 0, 0)
    user.mountpoint.chmod(0o1777)
    done = user.mount(samba)
    assert done.returncode == 32
    assert done.stderr.startswith(f"smbfs: Cannot mount on {user.mountpoint}: ")
    assert "not owner" in done.stderr or "not owned" in done.stderr
    assert done.stderr.count("\n") == 1
    assert user.mounted() == ""
