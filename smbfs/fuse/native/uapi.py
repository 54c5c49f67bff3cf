"""The kernel's FUSE protocol: the opcodes and flags of uapi/linux/fuse.h, 7.31 and later.

Numbers only; the structures are in `questions` and `replies`.  The protocol only grows: what an
older kernel does not know it never asks for.
"""

from __future__ import annotations

from enum import IntEnum

MAJOR, OLDEST_MINOR, NEWEST_MINOR = 7, 31, 45
IN_HEADER, OUT_HEADER = 40, 16  # bytes
LONGEST_HEADER = 64 * 1024  # what a WRITE may carry besides its data, with room to spare
ROOT_ID = 1


class Opcode(IntEnum):
    """enum fuse_opcode"""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    READLINK = 5
    SYMLINK = 6
    MKNOD = 8
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    LINK = 13
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    SETXATTR = 21
    GETXATTR = 22
    LISTXATTR = 23
    REMOVEXATTR = 24
    FLUSH = 25
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    FSYNCDIR = 30
    GETLK = 31
    SETLK = 32
    SETLKW = 33
    ACCESS = 34
    CREATE = 35
    INTERRUPT = 36
    BMAP = 37
    DESTROY = 38
    IOCTL = 39
    POLL = 40
    NOTIFY_REPLY = 41
    BATCH_FORGET = 42
    FALLOCATE = 43
    READDIRPLUS = 44
    RENAME2 = 45
    LSEEK = 46
    COPY_FILE_RANGE = 47
    SETUPMAPPING = 48
    REMOVEMAPPING = 49
    SYNCFS = 50
    TMPFILE = 51
    STATX = 52
    COPY_FILE_RANGE_64 = 53


class Notify(IntEnum):
    """enum fuse_notify_code"""

    POLL = 1
    INVAL_INODE = 2
    INVAL_ENTRY = 3
    STORE = 4
    RETRIEVE = 5
    DELETE = 6


class InitFlag:
    """What INIT negotiates: ``flags``, and above bit 31 ``flags2``."""

    ASYNC_READ = 1 << 0
    POSIX_LOCKS = 1 << 1
    ATOMIC_O_TRUNC = 1 << 3
    BIG_WRITES = 1 << 5
    FLOCK_LOCKS = 1 << 10
    HAS_IOCTL_DIR = 1 << 11
    AUTO_INVAL_DATA = 1 << 12
    DO_READDIRPLUS = 1 << 13
    READDIRPLUS_AUTO = 1 << 14
    ASYNC_DIO = 1 << 15
    PARALLEL_DIROPS = 1 << 18
    MAX_PAGES = 1 << 22
    CACHE_SYMLINKS = 1 << 23
    EXPLICIT_INVAL_DATA = 1 << 25
    HANDLE_KILLPRIV_V2 = 1 << 28
    INIT_EXT = 1 << 30
    HAS_EXPIRE_ONLY = 1 << 35
    DIRECT_IO_ALLOW_MMAP = 1 << 36


class OpenFlag:
    """FOPEN_*: how the kernel treats an open file."""

    DIRECT_IO = 1
    KEEP_CACHE = 2
    CACHE_DIR = 8
    NOFLUSH = 32
    PARALLEL_DIRECT_WRITES = 64


class SetattrValid:
    """FATTR_*: which fields of a `SetattrIn` count."""

    MODE = 1 << 0
    UID = 1 << 1
    GID = 1 << 2
    SIZE = 1 << 3
    ATIME = 1 << 4
    MTIME = 1 << 5
    FH = 1 << 6
    ATIME_NOW = 1 << 7
    MTIME_NOW = 1 << 8
    LOCKOWNER = 1 << 9
    CTIME = 1 << 10
    KILL_SUIDGID = 1 << 11


GETATTR_FH = 1
LK_FLOCK = 1  # in `LkIn.lk_flags`
FSYNC_FDATASYNC = 1
EXPIRE_ONLY = 1  # in `InvalEntryOut.flags`
IOCTL_DIR = 16
STATX_BASIC_AND_BIRTH = 0x0FFF
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS = 0x80086601, 0x40086602
FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR = 0x801C581F, 0x401C5820
FS_IMMUTABLE_FL, FS_XFLAG_IMMUTABLE = 0x10, 0x8  # one thing in two languages
FS_IOC32_GETFLAGS, FS_IOC32_SETFLAGS = 0x80046601, 0x40046602
