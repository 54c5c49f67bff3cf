"""The folder a share is mounted on: is it fit, what FUSE is told of it, and how it comes off.

Knows the kernel's mount table and its knobs; not SMB.  Easily broken: nothing here may stat a
mounted folder from the event loop's thread, for the loop would wait for its own answer; and what
may be a mount is looked up in the table before anything touches it.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import trio

from smbfs.options import MountOptions

log = logging.getLogger(__name__)

FS_TYPE = "fuse.smbfs"
TABLE = Path("/proc/self/mountinfo")
SYS = Path("/sys")
DEVICE = Path("/dev/fuse")
FUSE_CONF = Path("/etc/fuse.conf")
READ_AHEAD_KB = 1024
PAGE_BYTES = 4096
MAX_BACKGROUND, CONGESTION = 64, 48
ESCAPES = {r"\040": " ", r"\011": "\t", r"\012": "\n", r"\043": "#", r"\134": "\\"}
ALIVE_S = 20.0  # longer than a mount with the usual `timeout=` takes to say that its server is away
HASTE_S = 0.5


@dataclass(frozen=True, slots=True)
class Mounted:
    """One line of the mount table."""

    device: str  # major:minor
    path: str
    type: str
    source: str
    owner: int = 0  # the user whose smbfs serves it

    @property
    def is_ours(self) -> bool:
        """Whether smbfs made it, as far as its type or, under ``subtype=``, its source tells."""
        is_like_ours = self.type.startswith("fuse") and self.source.startswith("//")
        return self.type == FS_TYPE or is_like_ours


def mounts() -> Iterator[Mounted]:
    """The mount table of this process, oldest first."""
    # The kernel ends a line with a newline, and leaves in a path what else Python takes for an end.
    for line in os.fsdecode(TABLE.read_bytes()).split("\n"):
        if not line:
            continue
        fields, _, rest = line.partition(" - ")
        device, path = fields.split(" ")[2], fields.split(" ")[4]
        kind, source, options = rest.split(" ")[:3]
        owner = re.search(r"\buser_id=(\d+)", options)
        yield Mounted(
            device, unescaped(path), kind, unescaped(source), int(owner[1]) if owner else 0
        )


def unescaped(text: str) -> str:
    """A path as it is, of one as the kernel writes it into its tables."""
    for escape, character in ESCAPES.items():
        text = text.replace(escape, character)
    return text


def ours() -> Iterator[Mounted]:
    """The mounts that smbfs made."""
    return (mounted for mounted in mounts() if mounted.is_ours)


def beneath(path: str) -> list[tuple[bytes, ...]]:
    """What is mounted on something within a folder that is a mount: each as its names below it."""
    above = path.rstrip("/") + "/"
    found = (mounted.path for mounted in mounts() if mounted.path.startswith(above))
    return [tuple(map(os.fsencode, one.removeprefix(above).split("/"))) for one in found]


def mounted_on(path: str) -> Mounted | None:
    """What is mounted on a folder, the topmost if several are."""
    found = None
    for mounted in mounts():
        if mounted.path == path:
            found = mounted
    return found


def resolved(path: str) -> str:
    """The full path of a folder without asking the folder itself; raises OSError.

    To resolve the last part would ask a mount that may not answer, unless it is a link.
    """
    full = os.path.abspath(path)
    parent = os.path.realpath(os.path.dirname(full), strict=True)
    here = os.path.join(parent, os.path.basename(full))
    return here if mounted_on(here) is not None else os.path.realpath(here, strict=True)


def check(path: str) -> str:
    """The full path of a folder that can be mounted on; raises OSError with a sentence.

    A dead smbfs mount that a crash left there is taken off first.
    """
    try:
        full = resolved(path)
        mounted = mounted_on(full)
        if mounted is not None and mounted.is_ours:
            _make_free(mounted, path)
        is_folder = stat.S_ISDIR(os.stat(full).st_mode)
    except FileNotFoundError as error:
        raise OSError(error.errno, f"the mount point {path} does not exist") from error
    except (NotADirectoryError, PermissionError) as error:
        reason = (error.strerror or "").lower()
        raise OSError(error.errno, f"the mount point {path} cannot be used: {reason}") from error
    if not is_folder:
        raise OSError(errno.ENOTDIR, f"the mount point {path} is not a folder")
    if not DEVICE.exists():
        raise OSError(errno.ENODEV, f"there is no {DEVICE}: the kernel module fuse is not loaded")
    if os.geteuid() != 0:
        if not os.access(full, os.W_OK):
            raise OSError(errno.EACCES, f"you may not write to {path}, so not mount on it either")
        if shutil.which("fusermount3") is None:
            raise OSError(errno.ENOENT, "fusermount3 is missing: install the package fuse3")
    return full


def _make_free(mounted: Mounted, path: str) -> None:
    """Take a dead mount off; raises OSError if it lives, or may live."""
    match is_alive(mounted.path):
        case True:
            raise OSError(errno.EBUSY, f"{mounted.source} is already mounted on {path}")
        case None:
            sentence = f"{mounted.source} is mounted on {path} and does not answer: unmount it with"
            raise OSError(errno.EBUSY, f"{sentence} `smbfs umount -l {path}`")
    log.warning("%s: taking off a mount whose smbfs is gone", path)
    command = unmount_command(mounted.path, lazy=True)
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=ALIVE_S)
    if done.returncode != 0:
        raise OSError(errno.EBUSY, f"a dead mount stays on {path}: {done.stderr.strip()}")


def is_alive(path: str, wait_s: float = ALIVE_S) -> bool | None:
    """Whether somebody serves a FUSE mount; None if it answers nothing at all.

    Asked by another process: one that waits for a stopped server can wait for ever.
    """
    with tempfile.TemporaryFile() as said:
        asker = subprocess.Popen(
            ["stat", "--", path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env=os.environ | {"LC_ALL": "C"},
        )
        try:
            asker.wait(wait_s)
        except subprocess.TimeoutExpired:
            asker.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                asker.wait(HASTE_S)
            asker.returncode = -signal.SIGKILL  # be it stuck in the kernel: we do not wait for it
            return None
        said.seek(0)
        # The second is what a call gets that was waiting when the server died.
        return re.search(b"not connected|connection abort", said.read()) is None


def unmount_command(path: str, *, lazy: bool) -> list[str]:
    """The command that takes a mount off, as root or as a user; the path is its last word."""
    if os.geteuid() == 0:
        return ["umount", "-i", "-c", *(["-l"] if lazy else []), "--", path]
    return ["fusermount3", "-u", *(["-z"] if lazy else []), "--", path]


async def unmount(path: str) -> None:
    """Take the mount off: at once if nobody uses it, else out of sight until nobody does."""
    for lazy in (False, True):
        command = unmount_command(path, lazy=lazy)
        status, said = await _run(command)
        if status == 0:
            return
        log.info("%s", said or f"{command[0]} failed")


async def write_back(path: str) -> None:
    """Have the kernel write what programs changed in mapped memory; a lazy unmount would not."""
    await _run(["sync", "-f", "--", path])


async def _run(command: list[str]) -> tuple[int, str]:
    """Run a program that uses the mount; returns its exit status and what it complained of.

    If cancelled it is killed and not waited for: it may be stuck in the kernel, waiting for us.
    """
    nothing, pipe = subprocess.DEVNULL, subprocess.PIPE
    process = await trio.lowlevel.open_process(command, stdin=nothing, stdout=nothing, stderr=pipe)
    assert process.stderr is not None
    said = b""
    try:
        async for piece in process.stderr:
            said += piece
        await process.wait()
    except trio.Cancelled:
        process.kill()
        with trio.move_on_after(HASTE_S, shield=True):
            await process.wait()
        raise
    return process.returncode or 0, said.decode(errors="replace").strip()


def others_allowed() -> bool:
    """Whether users may give others access to their mounts, as fusermount3 judges it."""
    try:
        lines = FUSE_CONF.read_text().splitlines()
    except OSError:
        return False
    return "user_allow_other" in (line.strip() for line in lines)


def fuse_options(options: MountOptions) -> list[str]:
    """What the server is told of the mount, as libfuse spells it."""
    kernel = options.kernel
    fsname = (kernel.fsname or str(options.service)).replace("\\", "\\\\").replace(",", "\\,")
    flags = {
        "ro": kernel.read_only,
        "suid": kernel.suid,
        "dev": kernel.dev,
        "noexec": not kernel.exec,
        "allow_other": kernel.allow_other,
        "allow_root": kernel.allow_root,
        "default_permissions": kernel.default_permissions,
        "auto_unmount": kernel.auto_unmount,
        "nosymfollow": kernel.no_symlinks,
    }
    chosen = [name for name, is_set in flags.items() if is_set]
    if kernel.max_read:
        chosen.append(f"max_read={max(kernel.max_read, PAGE_BYTES)}")
    subtype = [f"subtype={kernel.subtype}"] if kernel.subtype else []
    return [f"fsname={fsname}", *subtype, *chosen, *kernel.contexts]


def tune(path: str, options: MountOptions) -> None:
    """Raise the kernel's limits for this mount as far as we may; failing is fine."""
    kernel = options.kernel
    ahead_kb = kernel.max_readahead // 1024 if kernel.max_readahead else READ_AHEAD_KB
    congestion = kernel.congestion_threshold or CONGESTION
    mounted = mounted_on(path)
    if mounted is None:
        return
    minor = mounted.device.partition(":")[2]
    background = kernel.max_background or MAX_BACKGROUND
    knobs = {
        SYS / "class/bdi" / mounted.device / "read_ahead_kb": ahead_kb,
        SYS / "fs/fuse/connections" / minor / "max_background": background,
        SYS / "fs/fuse/connections" / minor / "congestion_threshold": congestion,
    }
    for knob, value in knobs.items():
        with contextlib.suppress(OSError):
            knob.write_text(f"{value}\n")
