"""The kernel's questions about open files: data, room, locks, copies, flags.

Easily broken: the data of a WRITE lie in the buffer that the request was read into, and are kept
by the filesystem without a copy, so nothing may be read into that buffer while they are
(`smbfs.fuse.native.buffers`); and an open that the kernel did not get to know of is closed.
"""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING

from smbfs.fuse.native import answers, uapi
from smbfs.fuse.native.answers import DONE, Answer
from smbfs.fuse.native.names import one_name, told
from smbfs.fuse.native.questions import (
    CopyFileRangeIn,
    CreateIn,
    FallocateIn,
    FlushIn,
    Fsxattr,
    FsyncIn,
    IoctlIn,
    LkIn,
    LseekIn,
    OpenIn,
    ReleaseIn,
    WriteIn,
)
from smbfs.fuse.native.replies import CopyOut, IoctlOut, LseekOut, WriteOut
from smbfs.fuse.server import (
    LOCK_END,
    MISS,
    Entry,
    FileHandle,
    Lock,
    LockType,
    Miss,
    Node,
    Opened,
    Request,
)
from smbfs.wire.codec import WireError

if TYPE_CHECKING:
    from smbfs.vfs.filesystem import Filesystem

READ = struct.Struct("=QQI")  # what is needed of a `ReadIn`: descriptor, offset, size
WRITTEN = struct.Struct("=" + WriteOut.LAYOUT)
KILL_SUIDGID = 1  # OPEN's and CREATE's open_flags
WRITE_KILL_SUIDGID = 4  # WRITE's write_flags
KEPT_BYTES = 64 * 1024  # shorter data are copied, or they would keep a large buffer in use
MOST_COPIED = 1 << 31  # the old COPY_FILE_RANGE answers with 32 bits
WHENCES = (os.SEEK_DATA, os.SEEK_HOLE)
FLAG_GETTERS = (uapi.FS_IOC_GETFLAGS, uapi.FS_IOC32_GETFLAGS)
FLAG_SETTERS = (uapi.FS_IOC_SETFLAGS, uapi.FS_IOC32_SETFLAGS)
FLAGS_SIZE = 4  # the kernel's, whatever the control code's number says
DONE_WELL = bytes(IoctlOut(result=0))


# Opening and closing


def changes_by_opening(view: memoryview) -> bool:
    """Whether an OPEN empties the file."""
    return bool(OpenIn.parse(view).flags & os.O_TRUNC)


async def open_(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    asked = OpenIn.parse(view)
    if asked.open_flags & KILL_SUIDGID:
        fs.drop_privileges(node)
    opened = await fs.open(request, node, asked.flags)
    return Answer(answers.opened(opened), lambda: fs.give_up(opened.fh))


async def create(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    asked = CreateIn.parse(view)
    request.umask = asked.umask
    name = one_name(asked.names)
    return _created(fs, *await fs.create(request, node, name, asked.mode, asked.flags))


async def tmpfile(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    asked = CreateIn.parse(view)
    request.umask = asked.umask
    return _created(fs, *await fs.tmpfile(request, node, asked.mode, asked.flags))


def _created(fs: Filesystem, opened: Opened, entry: Entry) -> Answer:
    try:
        lookup = told(fs, entry)
        parts = answers.created(opened, entry)
    except BaseException:
        fs.give_up(opened.fh)
        raise

    def undo() -> None:
        if lookup.undo is not None:
            lookup.undo()
        fs.give_up(opened.fh)

    return Answer(parts, undo)


def flush_now(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer | Miss:
    asked = FlushIn.parse(view)
    request.lock_owner = asked.lock_owner
    return DONE if fs.flush_now(request, FileHandle(asked.fh)) is not MISS else MISS


async def flush(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    asked = FlushIn.parse(view)
    request.lock_owner = asked.lock_owner
    await fs.flush(request, FileHandle(asked.fh))
    return DONE


def release_now(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer | Miss:
    fh = FileHandle(ReleaseIn.parse(view).fh)
    return DONE if fs.release_now(request, fh) is not MISS else MISS


async def release(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    asked = ReleaseIn.parse(view)
    request.lock_owner = asked.lock_owner
    await fs.release(request, FileHandle(asked.fh))
    return DONE


async def fsync(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    asked = FsyncIn.parse(view)
    is_data = bool(asked.fsync_flags & uapi.FSYNC_FDATASYNC)
    await fs.fsync(request, FileHandle(asked.fh), is_data)
    return DONE


async def syncfs(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    await fs.drain()
    return DONE


# Data


def _reading(view: memoryview) -> tuple[FileHandle, int, int]:
    try:
        return READ.unpack_from(view, uapi.IN_HEADER)
    except struct.error:
        raise WireError("a read that is cut off") from None


def read_now(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer | Miss:
    fh, offset, size = _reading(view)
    views = fs.read_now(request, fh, offset, size)
    return MISS if views is MISS else Answer(views)


async def read(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    return Answer(await fs.read(request, *_reading(view)))


def _writing(view: memoryview) -> WriteIn:
    asked = WriteIn.parse(view)
    if len(asked.data) != asked.size:
        raise WireError("a write of another length than it says")
    if asked.size < KEPT_BYTES:
        asked.data = bytes(asked.data)
    return asked


def write_now(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer | Miss:
    asked = _writing(view)
    count = fs.write_now(request, FileHandle(asked.fh), asked.offset, asked.data)
    if count is MISS:
        return MISS
    if asked.write_flags & WRITE_KILL_SUIDGID:
        fs.drop_privileges(node)
    return Answer((WRITTEN.pack(count),))


async def write(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    asked = _writing(view)
    if asked.write_flags & WRITE_KILL_SUIDGID:
        fs.drop_privileges(node)
    count = await fs.write(request, FileHandle(asked.fh), asked.offset, asked.data)
    return Answer((WRITTEN.pack(count),))


# Room and copies


async def fallocate(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    asked = FallocateIn.parse(view)
    await fs.fallocate(request, FileHandle(asked.fh), asked.mode, asked.offset, asked.length)
    return DONE


def _seek(view: memoryview) -> tuple[FileHandle, int, int]:
    asked = LseekIn.parse(view)
    if asked.whence not in WHENCES:  # the kernel does the others itself
        raise OSError(errno.EINVAL, "no such way of seeking")
    return FileHandle(asked.fh), asked.offset, asked.whence


def lseek_now(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer | Miss:
    found = fs.seek_now(request, *_seek(view))
    return found if isinstance(found, Miss) else Answer((bytes(LseekOut(offset=found)),))


async def lseek(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    return Answer((bytes(LseekOut(offset=await fs.seek(request, *_seek(view)))),))


async def _copy(fs: Filesystem, request: Request, view: memoryview, most: int) -> int:
    asked = CopyFileRangeIn.parse(view)
    if asked.flags:
        raise OSError(errno.EINVAL, "no such way of copying")
    source, target = FileHandle(asked.fh_in), FileHandle(asked.fh_out)
    size = min(asked.len, most)
    return await fs.copy_file_range(request, source, asked.off_in, target, asked.off_out, size)


async def copy(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    return Answer((bytes(WriteOut(size=await _copy(fs, request, view, MOST_COPIED))),))


async def copy_64(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    return Answer((bytes(CopyOut(bytes_copied=await _copy(fs, request, view, LOCK_END))),))


# Locks


def _lock(view: memoryview) -> tuple[FileHandle, Lock]:
    asked = LkIn.parse(view)
    try:
        kind = LockType(asked.type)
    except ValueError:
        raise OSError(errno.EINVAL, "no such kind of lock") from None
    if asked.start > asked.end or asked.end >= LOCK_END:
        raise OSError(errno.EINVAL, "no such range")
    is_flock = bool(asked.lk_flags & uapi.LK_FLOCK)
    lock = Lock(kind, asked.start, asked.end + 1, asked.owner, asked.pid, is_flock)
    return FileHandle(asked.fh), lock


async def getlk(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    return answers.lock(await fs.getlk(request, *_lock(view)))


async def setlk(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    await fs.setlk(request, *_lock(view), wait=False)
    return DONE


async def setlkw(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    await fs.setlk(request, *_lock(view), wait=True)
    return DONE


# Control codes


async def ioctl(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    """Answer for lsattr and chattr; there is no control code of our own."""
    asked = IoctlIn.parse(view)
    data = memoryview(asked.data)
    if asked.cmd in FLAG_GETTERS:
        flags = await fs.get_flags(request, node)
        return Answer((DONE_WELL, flags.to_bytes(8, "little")[: asked.out_size]))
    if asked.cmd in FLAG_SETTERS:
        await fs.set_flags(request, node, _flags(data))
        return Answer((DONE_WELL,))
    if asked.cmd == uapi.FS_IOC_FSGETXATTR:  # the kernel itself asks so before it sets flags
        is_on = await fs.get_flags(request, node) & uapi.FS_IMMUTABLE_FL
        return Answer((DONE_WELL, bytes(Fsxattr(fsx_xflags=is_on and uapi.FS_XFLAG_IMMUTABLE))))
    if asked.cmd == uapi.FS_IOC_FSSETXATTR:
        await _set_xflags(fs, request, node, Fsxattr.parse(data))
        return Answer((DONE_WELL,))
    raise OSError(errno.ENOTTY, "no such control code")


def _flags(data: memoryview) -> int:
    if len(data) < FLAGS_SIZE:  # no flags at all would take those away that are there
        raise WireError("flags that are cut off")
    return int.from_bytes(data[:FLAGS_SIZE], "little")


async def _set_xflags(fs: Filesystem, request: Request, node: Node, wanted: Fsxattr) -> None:
    if wanted.fsx_xflags & ~uapi.FS_XFLAG_IMMUTABLE or wanted.fsx_projid or wanted.fsx_extsize:
        raise OSError(errno.EOPNOTSUPP, "no such attribute here")
    flags = await fs.get_flags(request, node) & ~uapi.FS_IMMUTABLE_FL
    if wanted.fsx_xflags:
        flags |= uapi.FS_IMMUTABLE_FL
    await fs.set_flags(request, node, flags)
