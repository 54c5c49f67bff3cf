"""Requests about directories, files, locks and the rest; see `tests.fuse.native.cases`."""

from __future__ import annotations

import errno
import os

from smbfs.fuse.native import answers, questions, uapi
from smbfs.fuse.native.replies import CopyOut, IoctlOut, LseekOut, WriteOut
from smbfs.fuse.native.uapi import Opcode
from smbfs.fuse.server import LOCK_END, FileHandle, Lock, LockType, Opened
from tests.fuse.native.cases import NODE, Case, flat, names
from tests.fuse.scripted import ENTRY

FILE = Opened(FileHandle(9))
LOCK = Lock(LockType.WRITE, 5, 15, owner=77, pid=4)
LK = questions.LkIn(fh=9, owner=77, start=5, end=14, type=1, pid=4)
CREATED = flat(answers.created(FILE, ENTRY))


def _set_xflags(asked: questions.Fsxattr) -> questions.IoctlIn:
    """The request that `chattr` ends in, on the open file."""
    data = bytes(asked)
    return questions.IoctlIn(
        fh=9, flags=0, cmd=uapi.FS_IOC_FSSETXATTR, in_size=len(data), data=data
    )


FILE_CASES = [
    # Directories
    Case(
        Opcode.OPENDIR,
        questions.OpenIn(flags=0),
        {"opendir": FILE},
        [("opendir", NODE)],
        flat(answers.opened(FILE)),
    ),
    Case(Opcode.RELEASEDIR, questions.ReleaseIn(fh=9), {}, [("releasedir", 9)]),
    Case(Opcode.FSYNCDIR, questions.FsyncIn(fh=9), {}, [("fsyncdir", 9)]),
    # Files
    Case(
        Opcode.OPEN,
        questions.OpenIn(flags=os.O_RDWR),
        {"open": FILE},
        [("open", NODE, os.O_RDWR)],
        flat(answers.opened(FILE)),
    ),
    Case(
        Opcode.OPEN,
        questions.OpenIn(flags=os.O_WRONLY | os.O_TRUNC, open_flags=1),
        {"open": FILE},
        [("drop_privileges", NODE), ("open", NODE, os.O_WRONLY | os.O_TRUNC)],
        flat(answers.opened(FILE)),
    ),
    Case(
        Opcode.CREATE,
        questions.CreateIn(flags=os.O_RDWR, mode=0o100644, umask=0o22, names=names(b"n")),
        {"create": (FILE, ENTRY)},
        [("create", NODE, b"n", 0o100644, os.O_RDWR)],
        CREATED,
    ),
    Case(
        Opcode.TMPFILE,
        questions.CreateIn(flags=os.O_RDWR, mode=0o100600, names=names(b"/")),
        {"tmpfile": (FILE, ENTRY)},
        [("tmpfile", NODE, 0o100600, os.O_RDWR)],
        CREATED,
    ),
    Case(
        Opcode.READ,
        questions.ReadIn(fh=9, offset=5, size=10),
        {"read_now": [memoryview(b"some"), memoryview(b"thing")]},
        [("read_now", 9, 5, 10)],
        b"something",
    ),
    Case(
        Opcode.READ,
        questions.ReadIn(fh=9, offset=5, size=10),
        {"read": [memoryview(b"thing")]},
        [("read_now", 9, 5, 10), ("read", 9, 5, 10)],
        b"thing",
    ),
    Case(
        Opcode.WRITE,
        questions.WriteIn(fh=9, offset=5, size=4, data=b"data"),
        {"write": 4},
        [("write_now", 9, 5, b"data"), ("write", 9, 5, b"data")],
        bytes(WriteOut(size=4)),
    ),
    Case(
        Opcode.WRITE,
        questions.WriteIn(fh=9, offset=5, size=4, write_flags=4, data=b"data"),
        {"write": 4},
        [("write_now", 9, 5, b"data"), ("drop_privileges", NODE), ("write", 9, 5, b"data")],
        bytes(WriteOut(size=4)),
    ),
    Case(
        Opcode.WRITE,
        questions.WriteIn(fh=9, offset=5, size=4, write_flags=4, data=b"data"),
        {"write_now": 4},
        [("write_now", 9, 5, b"data"), ("drop_privileges", NODE)],
        bytes(WriteOut(size=4)),
    ),
    Case(
        Opcode.WRITE,
        questions.WriteIn(fh=9, offset=5, size=5, data=b"data"),
        {},
        [],
        error=errno.EINVAL,
        is_nonsense=True,
    ),
    Case(Opcode.FLUSH, questions.FlushIn(fh=9), {"flush_now": None}, [("flush_now", 9)]),
    Case(Opcode.FLUSH, questions.FlushIn(fh=9), {}, [("flush_now", 9), ("flush", 9)]),
    Case(Opcode.RELEASE, questions.ReleaseIn(fh=9), {"release_now": None}, [("release_now", 9)]),
    Case(Opcode.RELEASE, questions.ReleaseIn(fh=9), {}, [("release_now", 9), ("release", 9)]),
    Case(
        Opcode.FSYNC,
        questions.FsyncIn(fh=9, fsync_flags=1),
        {},
        [("fsync", 9, True)],
    ),
    Case(Opcode.SYNCFS, bytes(8), {}, [("drain",)]),
    Case(
        Opcode.FALLOCATE,
        questions.FallocateIn(fh=9, offset=5, length=10, mode=3),
        {},
        [("fallocate", 9, 3, 5, 10)],
    ),
    Case(
        Opcode.LSEEK,
        questions.LseekIn(fh=9, offset=5, whence=os.SEEK_HOLE),
        {"seek_now": 12},
        [("seek_now", 9, 5, os.SEEK_HOLE)],
        bytes(LseekOut(offset=12)),
    ),
    Case(
        Opcode.LSEEK,
        questions.LseekIn(fh=9, offset=5, whence=os.SEEK_DATA),
        {"seek": 12},
        [("seek_now", 9, 5, os.SEEK_DATA), ("seek", 9, 5, os.SEEK_DATA)],
        bytes(LseekOut(offset=12)),
    ),
    Case(
        Opcode.LSEEK,
        questions.LseekIn(fh=9, offset=5, whence=os.SEEK_END),
        {},
        [],
        error=errno.EINVAL,
    ),
    Case(
        Opcode.COPY_FILE_RANGE,
        questions.CopyFileRangeIn(
            fh_in=9, off_in=1, nodeid_out=4, fh_out=10, off_out=2, len=1 << 40
        ),
        {"copy_file_range": 100},
        [("copy_file_range", 9, 1, 10, 2, 1 << 31)],
        bytes(WriteOut(size=100)),
    ),
    Case(
        Opcode.COPY_FILE_RANGE_64,
        questions.CopyFileRangeIn(
            fh_in=9, off_in=1, nodeid_out=4, fh_out=10, off_out=2, len=1 << 40
        ),
        {"copy_file_range": 1 << 33},
        [("copy_file_range", 9, 1, 10, 2, 1 << 40)],
        bytes(CopyOut(bytes_copied=1 << 33)),
    ),
    Case(
        Opcode.COPY_FILE_RANGE_64,
        questions.CopyFileRangeIn(
            fh_in=9, off_in=1, nodeid_out=4, fh_out=10, off_out=2, len=5, flags=1
        ),
        {},
        [],
        error=errno.EINVAL,
    ),
    # Locks
    Case(
        Opcode.GETLK,
        LK,
        {"getlk": LOCK},
        [("getlk", 9, LOCK)],
        flat(answers.lock(LOCK).parts),
    ),
    Case(Opcode.GETLK, LK, {}, [("getlk", 9, LOCK)], flat(answers.lock(None).parts)),
    Case(Opcode.SETLK, LK, {}, [("setlk", 9, LOCK, False)]),
    Case(Opcode.SETLKW, LK, {}, [("setlk", 9, LOCK, True)]),
    Case(
        Opcode.SETLKW,
        questions.LkIn(fh=9, owner=1, start=0, end=LOCK_END - 1, type=2, lk_flags=1),
        {},
        [("setlk", 9, Lock(LockType.UNLOCK, 0, LOCK_END, 1, is_flock=True), True)],
    ),
    Case(
        Opcode.SETLK,
        questions.LkIn(fh=9, owner=1, start=0, end=5, type=7),
        {},
        [],
        error=errno.EINVAL,
    ),
    Case(
        Opcode.SETLK,
        questions.LkIn(fh=9, owner=1, start=6, end=5, type=1),
        {},
        [],
        error=errno.EINVAL,
    ),
    # Control codes
    Case(
        Opcode.IOCTL,
        questions.IoctlIn(fh=9, flags=0, cmd=uapi.FS_IOC_GETFLAGS, out_size=4),
        {"get_flags": 0x10},
        [("get_flags", NODE)],
        bytes(IoctlOut(result=0)) + b"\x10\0\0\0",
    ),
    Case(
        Opcode.IOCTL,
        questions.IoctlIn(
            fh=9, flags=0, cmd=uapi.FS_IOC_SETFLAGS, in_size=8, data=b"\x10" + bytes(7)
        ),
        {},
        [("set_flags", NODE, 0x10)],
        bytes(IoctlOut(result=0)),
    ),
    Case(
        Opcode.IOCTL,
        questions.IoctlIn(fh=9, flags=0, cmd=uapi.FS_IOC_SETFLAGS, in_size=3, data=bytes(3)),
        {},
        [],
        error=errno.EINVAL,
        is_nonsense=True,
    ),
    Case(
        Opcode.IOCTL,
        questions.IoctlIn(fh=9, flags=0, cmd=uapi.FS_IOC_FSGETXATTR, out_size=28),
        {"get_flags": 0x14},
        [("get_flags", NODE)],
        bytes(IoctlOut(result=0)) + b"\x08" + bytes(27),
    ),
    Case(
        Opcode.IOCTL,
        _set_xflags(questions.Fsxattr(fsx_xflags=8)),
        {"get_flags": 4},
        [("get_flags", NODE), ("set_flags", NODE, 0x14)],
        bytes(IoctlOut(result=0)),
    ),
    Case(
        Opcode.IOCTL,
        _set_xflags(questions.Fsxattr()),
        {"get_flags": 0x14},
        [("get_flags", NODE), ("set_flags", NODE, 4)],
        bytes(IoctlOut(result=0)),
    ),
    Case(
        Opcode.IOCTL,
        _set_xflags(questions.Fsxattr(fsx_projid=5)),
        {},
        [],
        error=errno.EOPNOTSUPP,
    ),
    Case(Opcode.IOCTL, questions.IoctlIn(fh=9, flags=0, cmd=1), {}, [], error=errno.ENOTTY),
    Case(Opcode.DESTROY),
    # What no file here can do
    Case(Opcode.POLL, bytes(24), {}, [], error=errno.ENOSYS),
    Case(Opcode.BMAP, bytes(16), {}, [], error=errno.ENOSYS),
    Case(Opcode.SETUPMAPPING, b"", {}, [], error=errno.ENOSYS),
    Case(Opcode.REMOVEMAPPING, b"", {}, [], error=errno.ENOSYS),
]
