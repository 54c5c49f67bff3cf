"""How a mounted /dev/fuse descriptor is had: by mount(2) as root, by fusermount3 as a user.

Takes the options as libfuse spells them (``fsname=``, ``ro``, ``allow_other`` …).  Knows the
kernel's call and the helper's way of handing a descriptor over; not what is served.

Easily broken: from the moment the mount is there somebody may stat it and waits in the kernel
until INIT is answered, so nothing may come between `attach` and serving.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field

DEVICE = "/dev/fuse"
HELPER = "fusermount3"
DESCRIPTOR_VARIABLE = "_FUSE_COMMFD"
HELPER_S = 20.0  # it asks nobody
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_NOSYMFOLLOW = 1, 2, 4, 8, 256
MNT_DETACH = 2
ROOT_MODE = 0o40000
SYMFOLLOW_KERNEL = (5, 10)
FLAGS = {  # an option, and the bits that it sets and clears
    "ro": (MS_RDONLY, 0),
    "rw": (0, MS_RDONLY),
    "suid": (0, MS_NOSUID),
    "nosuid": (MS_NOSUID, 0),
    "dev": (0, MS_NODEV),
    "nodev": (MS_NODEV, 0),
    "noexec": (MS_NOEXEC, 0),
    "exec": (0, MS_NOEXEC),
    "nosymfollow": (MS_NOSYMFOLLOW, 0),
}
OURS = frozenset({"allow_root", "auto_unmount"})  # no words of the kernel's


@dataclass(slots=True)
class Plan:
    """The options, sorted by who understands them."""

    source: str = "smbfs"
    type: str = "fuse"
    bits: int = MS_NOSUID | MS_NODEV
    data: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, options: Sequence[str]) -> Plan:
        """Sort options as libfuse spells them."""
        plan = cls()
        for option in options:
            name, _, value = option.partition("=")
            if name == "fsname":
                plan.source = re.sub(r"\\(.)", r"\1", value)
            elif name == "subtype":
                plan.type = f"fuse.{value}"
            elif option in FLAGS:
                sets, clears = FLAGS[option]
                plan.bits = plan.bits & ~clears | sets
            elif option not in OURS:
                plan.data.append(option)
        if "allow_root" in options and "allow_other" not in plan.data:
            plan.data.append("allow_other")  # the session turns the others away
        return plan


def release() -> tuple[int, int]:
    """The kernel's version; the newest there can be if its name does not tell."""
    found = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(found[1]), int(found[2])) if found else (99, 0)


def attach(path: str, options: Sequence[str]) -> int:
    """Mount on a folder; the descriptor, which does not block.  Raises OSError with a sentence."""
    fd = _by_call(path, options) if os.geteuid() == 0 else _by_helper(path, options)
    os.set_blocking(fd, False)
    return fd


def _by_call(path: str, options: Sequence[str]) -> int:
    plan = Plan.of(options)
    if plan.bits & MS_NOSYMFOLLOW and release() < SYMFOLLOW_KERNEL:
        raise OSError(errno.EINVAL, "`nosymfollow` needs Linux 5.10")  # older ones do not mind it
    try:
        fd = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise OSError(error.errno, f"cannot open {DEVICE}: {error.strerror}") from error
    own = f"fd={fd},rootmode={ROOT_MODE:o},user_id={os.getuid()},group_id={os.getgid()}"
    try:
        _mount(plan.source, path, plan.type, plan.bits, ",".join([own, *plan.data]))
    except BaseException:
        os.close(fd)
        raise
    return fd


def _mount(source: str, path: str, kind: str, bits: int, data: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    words = [os.fsencode(word) for word in (source, path, kind)]
    if libc.mount(*words, ctypes.c_ulong(bits), os.fsencode(data)) != 0:
        number = ctypes.get_errno()
        reason = os.strerror(number)
        if number == errno.EINVAL:
            reason = f"the kernel takes none of these options: {data}"
        raise OSError(number, reason)


def unmount(path: str) -> None:
    """Take a mount off lazily as root; raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(os.fsencode(path), MNT_DETACH) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _heard(process: subprocess.Popen[bytes]) -> bytes:
    """What a helper complained of, by its end; it is ended if it does not come to one."""
    try:
        return process.communicate(timeout=HELPER_S)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()[1]


def _by_helper(path: str, options: Sequence[str]) -> int:
    """Have the set-uid helper mount, and receive the descriptor that it opened."""
    helper = shutil.which(HELPER)
    if helper is None:
        raise OSError(errno.ENOENT, f"{HELPER} is missing: install the package fuse3")
    wanted = [option for option in options if option not in OURS]
    if "allow_root" in options and "allow_other" not in wanted:
        wanted.append("allow_other")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, theirs:
        ours.settimeout(HELPER_S)
        process = subprocess.Popen(
            [helper, "-o", ",".join(wanted), "--", path],
            env=os.environ | {DESCRIPTOR_VARIABLE: str(theirs.fileno()), "LC_ALL": "C"},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        theirs.close()
        try:
            _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
        except OSError:
            descriptors = []
            process.kill()
        said = _heard(process)
    if process.returncode != 0 or not descriptors:  # or it had to be killed
        for descriptor in descriptors:
            os.close(descriptor)
        sentence = said.decode(errors="replace").strip().removeprefix(f"{HELPER}: ")
        raise OSError(errno.EIO, sentence or f"{HELPER} handed no descriptor over")
    os.set_inheritable(descriptors[0], False)
    return descriptors[0]
