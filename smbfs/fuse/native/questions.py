"""What the kernel asks: the request structures of uapi/linux/fuse.h, declared like SMB's.

Layouts only; the tests compare them with a compiler's header.  Integers are in the machine's
order.  Easily broken: a request begins with `InHeader`, so bodies are parsed at 40, and names end
with a NUL that is not part of them.
"""

from __future__ import annotations

from typing import ClassVar

from smbfs.wire.codec import I64, U16, U32, U64, Blob, Pad, Structure, trailing


class InHeader(Structure, at=0, endian="="):
    """struct fuse_in_header"""

    len: U32
    opcode: U32
    unique: U64
    nodeid: U64
    uid: U32
    gid: U32
    pid: U32
    total_extlen: U16 = 0
    _padding: ClassVar = Pad(2)


class InitIn(Structure, at=40, endian="="):
    """struct fuse_init_in, of 7.31: later kernels send flags2 and reserved words behind it."""

    major: U32
    minor: U32
    max_readahead: U32
    flags: U32
    more: Blob = trailing(default=b"")


class GetattrIn(Structure, at=40, endian="="):
    """struct fuse_getattr_in"""

    getattr_flags: U32 = 0
    _dummy: ClassVar = Pad(4)
    fh: U64 = 0


class SetattrIn(Structure, at=40, endian="="):
    """struct fuse_setattr_in"""

    valid: U32 = 0
    _padding: ClassVar = Pad(4)
    fh: U64 = 0
    size: U64 = 0
    lock_owner: U64 = 0
    atime: I64 = 0
    mtime: I64 = 0
    ctime: I64 = 0
    atimensec: U32 = 0
    mtimensec: U32 = 0
    ctimensec: U32 = 0
    mode: U32 = 0
    _unused4: ClassVar = Pad(4)
    uid: U32 = 0
    gid: U32 = 0
    _unused5: ClassVar = Pad(4)


class MknodIn(Structure, at=40, endian="="):
    """struct fuse_mknod_in, and the name"""

    mode: U32
    rdev: U32 = 0
    umask: U32 = 0
    _padding: ClassVar = Pad(4)
    names: Blob = trailing()


class MkdirIn(Structure, at=40, endian="="):
    """struct fuse_mkdir_in, and the name"""

    mode: U32
    umask: U32 = 0
    names: Blob = trailing()


class RenameIn(Structure, at=40, endian="="):
    """struct fuse_rename_in, and both names"""

    newdir: U64
    names: Blob = trailing()


class Rename2In(Structure, at=40, endian="="):
    """struct fuse_rename2_in, and both names"""

    newdir: U64
    flags: U32 = 0
    _padding: ClassVar = Pad(4)
    names: Blob = trailing()


class LinkIn(Structure, at=40, endian="="):
    """struct fuse_link_in, and the new name"""

    oldnodeid: U64
    names: Blob = trailing()


class OpenIn(Structure, at=40, endian="="):
    """struct fuse_open_in"""

    flags: U32
    open_flags: U32 = 0


class CreateIn(Structure, at=40, endian="="):
    """struct fuse_create_in, and the name; TMPFILE as well"""

    flags: U32
    mode: U32
    umask: U32 = 0
    open_flags: U32 = 0
    names: Blob = trailing()


class ReadIn(Structure, at=40, endian="="):
    """struct fuse_read_in; READDIR and READDIRPLUS as well"""

    fh: U64
    offset: U64
    size: U32
    read_flags: U32 = 0
    lock_owner: U64 = 0
    flags: U32 = 0
    _padding: ClassVar = Pad(4)


class WriteIn(Structure, at=40, endian="="):
    """struct fuse_write_in, and the data"""

    fh: U64
    offset: U64
    size: U32
    write_flags: U32 = 0
    lock_owner: U64 = 0
    flags: U32 = 0
    _padding: ClassVar = Pad(4)
    data: Blob = trailing()


class ReleaseIn(Structure, at=40, endian="="):
    """struct fuse_release_in"""

    fh: U64
    flags: U32 = 0
    release_flags: U32 = 0
    lock_owner: U64 = 0


class FlushIn(Structure, at=40, endian="="):
    """struct fuse_flush_in"""

    fh: U64
    _unused: ClassVar = Pad(8)
    lock_owner: U64 = 0


class FsyncIn(Structure, at=40, endian="="):
    """struct fuse_fsync_in"""

    fh: U64
    fsync_flags: U32 = 0
    _padding: ClassVar = Pad(4)


class SetxattrIn(Structure, at=40, endian="="):
    """struct fuse_setxattr_in without SETXATTR_EXT; the name, a NUL, the value"""

    size: U32
    flags: U32 = 0
    rest: Blob = trailing()


class GetxattrIn(Structure, at=40, endian="="):
    """struct fuse_getxattr_in, and the name; LISTXATTR as well, without one"""

    size: U32
    _padding: ClassVar = Pad(4)
    names: Blob = trailing(default=b"")


class LkIn(Structure, at=40, endian="="):
    """struct fuse_lk_in; ``end`` is the last byte"""

    fh: U64
    owner: U64
    start: U64
    end: U64
    type: U32
    pid: U32 = 0
    lk_flags: U32 = 0
    _padding: ClassVar = Pad(4)


class AccessIn(Structure, at=40, endian="="):
    """struct fuse_access_in"""

    mask: U32
    _padding: ClassVar = Pad(4)


class ForgetIn(Structure, at=40, endian="="):
    """struct fuse_forget_in"""

    nlookup: U64


class BatchForgetIn(Structure, at=40, endian="="):
    """struct fuse_batch_forget_in, and so many `ForgetOne`"""

    count: U32
    _dummy: ClassVar = Pad(4)
    rest: Blob = trailing()


class ForgetOne(Structure, at=0, endian="="):
    """struct fuse_forget_one"""

    nodeid: U64
    nlookup: U64


class InterruptIn(Structure, at=40, endian="="):
    """struct fuse_interrupt_in"""

    unique: U64


class IoctlIn(Structure, at=40, endian="="):
    """struct fuse_ioctl_in, and the data"""

    fh: U64
    flags: U32
    cmd: U32
    arg: U64 = 0
    in_size: U32 = 0
    out_size: U32 = 0
    data: Blob = trailing(default=b"")


class Fsxattr(Structure, at=0, endian="="):
    """struct fsxattr, which FS_IOC_FSGETXATTR answers and FS_IOC_FSSETXATTR brings"""

    fsx_xflags: U32 = 0
    fsx_extsize: U32 = 0
    fsx_nextents: U32 = 0
    fsx_projid: U32 = 0
    fsx_cowextsize: U32 = 0
    _pad: ClassVar = Pad(8)


class FallocateIn(Structure, at=40, endian="="):
    """struct fuse_fallocate_in"""

    fh: U64
    offset: U64
    length: U64
    mode: U32 = 0
    _padding: ClassVar = Pad(4)


class LseekIn(Structure, at=40, endian="="):
    """struct fuse_lseek_in"""

    fh: U64
    offset: U64
    whence: U32
    _padding: ClassVar = Pad(4)


class CopyFileRangeIn(Structure, at=40, endian="="):
    """struct fuse_copy_file_range_in"""

    fh_in: U64
    off_in: U64
    nodeid_out: U64
    fh_out: U64
    off_out: U64
    len: U64
    flags: U64 = 0


class StatxIn(Structure, at=40, endian="="):
    """struct fuse_statx_in"""

    getattr_flags: U32 = 0
    _reserved: ClassVar = Pad(4)
    fh: U64 = 0
    sx_flags: U32 = 0
    sx_mask: U32 = 0
