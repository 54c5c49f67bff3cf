"""A mount's life as seen from outside: what ends it, what is on the server then, what is left."""

from __future__ import annotations

import mmap
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.live import ForegroundShare, wait_until
from tests.mounted import SMBFS, MountedShare, MountError
from tests.processes import PROC, is_alive, named
from tests.samba import Place, Samba
from tests.transports import MATRIX

pytestmark = pytest.mark.usefixtures("transport")
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture
def private() -> Iterator[Samba]:
    """A server of this test's own, to be ill-treated."""
    with Samba() as server:
        yield server


# Ends


def test_umount_ends_it_at_once_and_nothing_is_lost(samba: Samba, share: Place) -> None:
    data = os.urandom(5_000_000)
    with ForegroundShare(samba) as mounted:
        (mounted.path / "file").write_bytes(data)
        subprocess.run(["umount", str(mounted.path)], check=True, timeout=20)
        started = time.monotonic()
        assert mounted.ends_with() == 0
        assert time.monotonic() - started < 10
    assert (share.path / "file").read_bytes() == data


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_ends_it_and_nothing_is_lost(
    number: signal.Signals, samba: Samba, share: Place
) -> None:
    """What a program wrote and changed in memory, too, though it holds the file open."""
    data = os.urandom(3_000_000)
    with ForegroundShare(samba) as mounted:
        (mounted.path / "mapped").write_bytes(bytes(8192))
        file = os.open(mounted.path / "file", os.O_WRONLY | os.O_CREAT)
        mapped = os.open(mounted.path / "mapped", os.O_RDWR)
        memory = mmap.mmap(mapped, 0)
        memory[4096:4100] = b"here"
        os.write(file, data)
        mounted.signal(number)
        assert mounted.ends_with() == 0
        assert not mounted.is_mounted()
        memory.close()
        for one in (file, mapped):
            with pytest.raises(OSError, match=r"not connected|connection abort"):
                os.close(one)
    assert (share.path / "file").read_bytes() == data
    assert (share.path / "mapped").read_bytes() == bytes(4096) + b"here" + bytes(4092)


def test_a_second_signal_hurries(private: Samba) -> None:
    with ForegroundShare(private, "share", "timeout=60") as mounted:
        file = os.open(mounted.path / "file", os.O_WRONLY | os.O_CREAT)
        private.freeze()
        os.write(file, b"x" * 3_000_000)
        mounted.signal(signal.SIGTERM)
        wait_until(lambda: "SIGTERM: ending" in mounted.log())
        time.sleep(0.2)
        assert mounted.process.poll() is None  # it tries
        started = time.monotonic()
        mounted.signal(signal.SIGTERM)
        assert mounted.ends_with() == 8
        assert time.monotonic() - started < 20  # and not 60
        assert "not sent yet is lost" in mounted.said()
        assert not mounted.is_mounted()
        private.thaw()
        with pytest.raises(OSError, match=r"not connected|connection abort"):
            os.close(file)


def children_of(pid: int) -> list[int]:
    """The processes that a daemon has started."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_daemon_that_is_killed_leaves_no_dead_mount(samba: Samba, share: Place) -> None:
    mounted = MountedShare(samba)
    mounted.mount()
    [guardian] = children_of(mounted.pid)
    file = os.open(mounted.path / "file", os.O_WRONLY | os.O_CREAT)
    os.kill(mounted.pid, signal.SIGKILL)
    mounted.wait_for_end()
    wait_until(lambda: not mounted.is_mounted())
    with pytest.raises(OSError, match=r"not connected|connection abort"):
        os.write(file, b"x")
    with pytest.raises(OSError, match=r"not connected|connection abort"):
        os.close(file)
    wait_until(lambda: not is_alive(PROC / str(guardian)))
    assert os.listdir(mounted.path) == []  # the folder itself
    mounted.close()


def test_a_dead_mount_is_taken_off_by_the_next(samba: Samba, share: Place) -> None:
    (share.path / "here").touch()
    mounted = MountedShare(samba)
    mounted.mount()
    [guardian] = children_of(mounted.pid)
    os.kill(guardian, signal.SIGKILL)  # it would have taken the mount off
    os.kill(mounted.pid, signal.SIGKILL)
    mounted.wait_for_end()
    assert mounted.is_mounted()
    with pytest.raises(OSError, match=r"not connected|connection abort"):
        os.listdir(mounted.path)
    done = mounted.smbfs(mounted.service, str(mounted.path), "-o", ",".join(mounted.options))
    assert done.returncode == 0, done.stdout
    assert os.listdir(mounted.path) == ["here"]
    mounted.close()
    assert not mounted.is_mounted()
    assert "taking off a mount whose smbfs is gone" in done.stdout


def test_one_folder_one_share(samba: Samba, share: Place) -> None:
    with MountedShare(samba) as mounted:
        with pytest.raises(MountError, match="already mounted") as error:
            mounted.mount()
        assert error.value.status == 32


def test_umount_takes_a_busy_mount_out_of_sight(samba: Samba, share: Place) -> None:
    mounted = MountedShare(samba)
    mounted.mount()
    with (mounted.path / "file").open("wb") as file:
        assert mounted.smbfs("umount", "-l", str(mounted.path)).returncode == 0
        assert not mounted.is_mounted()
        file.write(b"still here")  # who has it open goes on
    mounted.wait_for_end()
    mounted.close()
    assert (share.path / "file").read_bytes() == b"still here"


def test_an_aborted_connection_leaves_no_dead_mount(
    samba: Samba, share: Place, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root mounts fusectl, through which connections are aborted")
    with ForegroundShare(samba) as mounted:
        [device] = [
            line.split()[2]
            for line in (PROC / "self" / "mountinfo").read_text().splitlines()
            if line.split()[4] == str(mounted.path)
        ]
        subprocess.run(["mount", "-t", "fusectl", "none", str(tmp_path)], check=True)
        try:
            (tmp_path / device.partition(":")[2] / "abort").write_text("1")
        finally:
            subprocess.run(["umount", str(tmp_path)], check=True)
        mounted.ends_with()
        assert not mounted.is_mounted()


# The start


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_who_interrupts_the_command_gets_no_mount(
    number: signal.Signals, samba: Samba, tmp_path: Path
) -> None:
    """Before the server has answered at all."""
    (tmp_path / "mnt").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        options = f"port={silent.getsockname()[1]},credentials={samba.credentials}"
        options += f",{MATRIX.option()}"
        parent = subprocess.Popen(
            [str(SMBFS), "//127.0.0.1/share", str(tmp_path / "mnt"), "-o", options],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        peer, _ = silent.accept()
        with peer:
            parent.send_signal(number)
            _, said = parent.communicate(timeout=20)
    assert parent.returncode == 8
    assert said == "smbfs: Interrupted; nothing is mounted.\n"
    assert not named(str(tmp_path / "mnt"))
    assert str(tmp_path) not in Path("/proc/mounts").read_text()


def test_a_child_that_is_killed_keeps_nobody_waiting(samba: Samba, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        options = f"port={silent.getsockname()[1]},credentials={samba.credentials}"
        options += f",{MATRIX.option()}"
        parent = subprocess.Popen(
            [str(SMBFS), "//127.0.0.1/share", str(tmp_path), "-o", options],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        peer, _ = silent.accept()
        with peer:
            [child] = [pid for pid in named(str(tmp_path)) if pid != parent.pid]
            os.kill(child, signal.SIGKILL)
            _, said = parent.communicate(timeout=20)
    assert parent.returncode == 4
    assert "ended unexpectedly (SIGKILL)" in said


# While it lives


def test_what_the_daemon_keeps_and_shows(samba: Samba, share: Place) -> None:
    reading, writing = os.pipe()
    secret = "to be seen by nobody"
    mounted = MountedShare(samba, "share", "log=debug:" + str(share.path.parent / "log"))
    environment = os.environ | {"PASSWD": samba.password, "OTHER": "x"}
    words = [mounted.service, str(mounted.path), "-o", f"port={samba.port},username={samba.user}"]
    log = mounted.home / "log"
    done = subprocess.run(
        [str(SMBFS), *words, "-o", f"password={secret},log=debug:{log},{MATRIX.option()}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        env=environment,
        pass_fds=(writing,),
        check=False,
    )
    os.close(writing)
    assert done.returncode == 0, done.stderr
    [mounted.pid] = named(str(mounted.path))
    process = PROC / str(mounted.pid)
    assert os.read(reading, 1) == b""  # nothing of ours is open
    os.close(reading)
    assert {os.readlink(process / "fd" / str(n)) for n in range(3)} == {"/dev/null"}
    assert os.readlink(process / "cwd") == "/"
    assert "Umask:\t0077" in (process / "status").read_text()
    (mounted.path / "file").write_text("something to log")
    seen = {
        "argv": (process / "cmdline").read_bytes(),
        "environment": (process / "environ").read_bytes(),
        "mounts": Path("/proc/self/mountinfo").read_bytes(),
        "said": done.stdout.encode() + done.stderr.encode(),
    }
    mounted.close()
    for where, text in seen.items():
        assert samba.password.encode() not in text, where
        assert secret.encode() not in text, where
    assert b"OTHER=x" in seen["environment"]


def test_the_log_tells_no_secret(samba: Samba, share: Place) -> None:
    mounted = MountedShare(samba)
    mounted.options[2] = f"log=debug:{mounted.home / 'log'}"
    mounted.mount()
    (mounted.path / "file").write_text("something to log")
    mounted.umount()
    log = mounted.log()
    mounted.close()
    assert "is mounted on" in log
    assert samba.password not in log
    assert "Secret" not in log


def test_systemd_is_told(samba: Samba, share: Place, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        os.environ["NOTIFY_SOCKET"] = str(tmp_path / "notify")
        try:
            with MountedShare(samba) as mounted:
                assert systemd.recv(100).decode() == f"READY=1\nMAINPID={mounted.pid}"
                mounted.terminate()
                assert systemd.recv(100).decode().startswith("STOPPING=1\n")
        finally:
            del os.environ["NOTIFY_SOCKET"]


def test_verbose_says_where(samba: Samba, share: Place) -> None:
    mounted = MountedShare(samba)
    done = mounted.smbfs("-v", mounted.service, str(mounted.path), "-o", ",".join(mounted.options))
    assert done.stdout == f"{mounted.service} is mounted on {mounted.path}\n"
    [mounted.pid] = named(str(mounted.path))
    mounted.close()
    assert not is_alive(PROC / str(mounted.pid))


@pytest.mark.parametrize(
    ("option", "flags"),
    [
        ("ro", {"ro"}),
        ("noexec", {"noexec"}),
        ("allow_other", {"allow_other", "rw"}),
        ("noperm", {"rw"}),
    ],
)
def test_what_the_kernel_is_told(option: str, flags: set[str], samba: Samba, share: Place) -> None:
    with MountedShare(samba, "share", option) as mounted:
        [line] = [
            line
            for line in Path("/proc/mounts").read_text().splitlines()
            if str(mounted.path) in line
        ]
        source, _, kind, told, *_ = line.split()
        assert (source, kind) == (f"//{samba.host}/share", "fuse.smbfs")
        assert flags | {"nosuid", "nodev"} <= set(told.split(","))
        assert ("default_permissions" in told) == (option != "noperm")
        if option == "ro":
            with pytest.raises(OSError, match="Read-only"):
                (mounted.path / "x").touch()


def test_the_tools_show_it(samba: Samba, share: Place) -> None:
    (samba["nested"].path / "a, b").mkdir(exist_ok=True)
    with MountedShare(samba, "nested", directory="a, b") as mounted:

        def said(*command: str) -> str:
            done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
            return done.stdout

        where, source = str(mounted.path), f"//{samba.host}/nested/a, b"
        assert f"{source} on {where} type fuse.smbfs (" in said("mount")
        assert said("findmnt", "-n", "-o", "SOURCE,FSTYPE", where) == f"{source} fuse.smbfs\n"
        table = said("df", "--output=source,target,size", where).splitlines()[1]
        assert table.startswith(source)
        assert int(table.split()[-1]) > 0
