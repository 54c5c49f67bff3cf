"""What the kernel is answered and told: reply and notice structures of uapi/linux/fuse.h.

Layouts only; the tests compare them with a compiler's header.  Integers are in the machine's
order.  Easily broken: the error in a reply is a negative errno, the code of a notice is positive;
and a reply longer than the kernel asked for fails the request.
"""

from __future__ import annotations

from typing import ClassVar

from smbfs.wire.codec import I32, I64, U16, U32, U64, Pad, Structure


class OutHeader(Structure, at=0, endian="="):
    """struct fuse_out_header; a notice has its code in ``error`` and 0 in ``unique``"""

    len: U32
    error: I32
    unique: U64


class InitOut(Structure, at=0, endian="="):
    """struct fuse_init_out"""

    major: U32
    minor: U32
    max_readahead: U32
    flags: U32
    max_background: U16
    congestion_threshold: U16
    max_write: U32
    time_gran: U32
    max_pages: U16
    map_alignment: U16 = 0
    flags2: U32 = 0
    max_stack_depth: U32 = 0
    request_timeout: U16 = 0
    _unused: ClassVar = Pad(22)


class Attr(Structure, at=0, endian="="):
    """struct fuse_attr"""

    ino: U64
    size: U64
    blocks: U64
    atime: I64
    mtime: I64
    ctime: I64
    atimensec: U32
    mtimensec: U32
    ctimensec: U32
    mode: U32
    nlink: U32
    uid: U32
    gid: U32
    rdev: U32
    blksize: U32
    flags: U32 = 0


class EntryOut(Structure, at=0, endian="="):
    """struct fuse_entry_out up to its `Attr`"""

    nodeid: U64
    generation: U64
    entry_valid: U64
    attr_valid: U64
    entry_valid_nsec: U32
    attr_valid_nsec: U32


class AttrOut(Structure, at=0, endian="="):
    """struct fuse_attr_out up to its `Attr`"""

    attr_valid: U64
    attr_valid_nsec: U32
    _dummy: ClassVar = Pad(4)


class OpenOut(Structure, at=0, endian="="):
    """struct fuse_open_out"""

    fh: U64
    open_flags: U32 = 0
    backing_id: I32 = 0


class WriteOut(Structure, at=0, endian="="):
    """struct fuse_write_out; the old COPY_FILE_RANGE as well"""

    size: U32
    _padding: ClassVar = Pad(4)


class CopyOut(Structure, at=0, endian="="):
    """struct fuse_copy_file_range_out"""

    bytes_copied: U64


class StatfsOut(Structure, at=0, endian="="):
    """struct fuse_kstatfs"""

    blocks: U64
    bfree: U64
    bavail: U64
    files: U64
    ffree: U64
    bsize: U32
    namelen: U32
    frsize: U32
    _spare: ClassVar = Pad(28)


class GetxattrOut(Structure, at=0, endian="="):
    """struct fuse_getxattr_out"""

    size: U32
    _padding: ClassVar = Pad(4)


class LkOut(Structure, at=0, endian="="):
    """struct fuse_file_lock; ``end`` is the last byte"""

    start: U64
    end: U64
    type: U32
    pid: U32


class IoctlOut(Structure, at=0, endian="="):
    """struct fuse_ioctl_out"""

    result: I32
    flags: U32 = 0
    in_iovs: U32 = 0
    out_iovs: U32 = 0


class LseekOut(Structure, at=0, endian="="):
    """struct fuse_lseek_out"""

    offset: U64


class Dirent(Structure, at=0, endian="="):
    """struct fuse_dirent up to its name, which is padded to 8"""

    ino: U64
    off: U64
    namelen: U32
    type: U32


class SxTime(Structure, at=0, endian="="):
    """struct fuse_sx_time"""

    tv_sec: I64
    tv_nsec: U32
    _reserved: ClassVar = Pad(4)


class Statx(Structure, at=0, endian="="):
    """struct fuse_statx up to its four `SxTime`: access, birth, change, modification"""

    mask: U32
    blksize: U32
    attributes: U64
    nlink: U32
    uid: U32
    gid: U32
    mode: U16
    _spare0: ClassVar = Pad(2)
    ino: U64
    size: U64
    blocks: U64
    attributes_mask: U64


class StatxOut(Structure, at=0, endian="="):
    """struct fuse_statx_out up to its `Statx`"""

    attr_valid: U64
    attr_valid_nsec: U32
    flags: U32 = 0
    _spare: ClassVar = Pad(16)


class StatxTail(Structure, at=0, endian="="):
    """The end of struct fuse_statx: device numbers and spare words"""

    rdev_major: U32
    rdev_minor: U32
    dev_major: U32 = 0
    dev_minor: U32 = 0
    _spare2: ClassVar = Pad(112)


# Notices


class InvalInodeOut(Structure, at=0, endian="="):
    """struct fuse_notify_inval_inode_out; a negative offset means the attributes only"""

    ino: U64
    off: I64
    len: I64


class InvalEntryOut(Structure, at=0, endian="="):
    """struct fuse_notify_inval_entry_out"""

    parent: U64
    namelen: U32
    flags: U32 = 0


class DeleteOut(Structure, at=0, endian="="):
    """struct fuse_notify_delete_out"""

    parent: U64
    child: U64
    namelen: U32
    _padding: ClassVar = Pad(4)


class StoreOut(Structure, at=0, endian="="):
    """struct fuse_notify_store_out"""

    nodeid: U64
    offset: U64
    size: U32
    _padding: ClassVar = Pad(4)
