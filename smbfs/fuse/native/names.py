"""The kernel's questions about names and attributes, each unpacked, asked and packed.

One function an opcode; ``_now`` ones answer at once or say `MISS`.  Knows the structures and the
`Filesystem`; the table of them is `smbfs.fuse.native.operations`.

Easily broken: whatever adds a lookup answers with an ``undo`` that takes it away again.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from smbfs.fuse.native import answers
from smbfs.fuse.native.answers import DONE, Answer
from smbfs.fuse.native.questions import (
    AccessIn,
    BatchForgetIn,
    ForgetIn,
    ForgetOne,
    GetxattrIn,
    LinkIn,
    MkdirIn,
    MknodIn,
    Rename2In,
    RenameIn,
    SetattrIn,
    SetxattrIn,
)
from smbfs.fuse.native.replies import GetxattrOut
from smbfs.fuse.native.uapi import SetattrValid
from smbfs.fuse.server import MISS, Change, Entry, FileHandle, Miss, Node, Request
from smbfs.wire.codec import Blob, WireError

if TYPE_CHECKING:
    from smbfs.vfs.filesystem import Filesystem

NS = 1_000_000_000
LONGEST_TARGET = 4095  # the kernel takes a page with a NUL


def one_name(names: Blob) -> bytes:
    """The name at the end of a request; raises WireError if its end is not there."""
    name, nul, _ = bytes(names).partition(b"\0")
    if not nul:
        raise WireError("a name without an end")
    return name


def two_names(names: Blob) -> tuple[bytes, bytes]:
    """Both names at the end of a request; raises WireError."""
    first, _, rest = bytes(names).partition(b"\0")
    return first, one_name(rest)


def told(fs: Filesystem, entry: Entry) -> Answer:
    """Answer with an entry; a lookup that the kernel does not get to know of is taken back."""
    found = entry.attributes
    if found is None:
        return Answer(answers.entry(entry))
    node = found.node

    def undo() -> None:
        fs.forget([(node, 1)])

    try:
        return Answer(answers.entry(entry), undo)
    except BaseException:
        undo()  # it holds numbers that the kernel has no room for
        raise


# Looking


def lookup_now(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer | Miss:
    entry = fs.lookup_now(request, node, one_name(view[40:]))
    return MISS if entry is MISS else told(fs, entry)


async def lookup(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    return told(fs, await fs.lookup(request, node, one_name(view[40:])))


def getattr_now(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer | Miss:
    found = fs.getattr_now(request, node, None)
    return MISS if found is MISS else answers.attributes(found)


async def getattr(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    return answers.attributes(await fs.getattr(request, node, None))


def statx_now(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer | Miss:
    found = fs.getattr_now(request, node, None)
    return MISS if found is MISS else answers.statx(found)


async def statx(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    return answers.statx(await fs.getattr(request, node, None))


def forget_now(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    fs.forget([(node, ForgetIn.parse(view).nlookup)])
    return DONE


def batch_forget_now(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    asked = BatchForgetIn.parse(view)
    rest, step = memoryview(asked.rest), ForgetOne.FIXED
    ones = [ForgetOne.parse(rest, at * step) for at in range(min(asked.count, len(rest) // step))]
    fs.forget([(Node(one.nodeid), one.nlookup) for one in ones])
    return DONE


async def readlink(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    target = await fs.readlink(request, node)
    if len(target) > LONGEST_TARGET:
        raise OSError(errno.ENAMETOOLONG, "a link leads further than Linux can follow")
    return Answer((target,))


async def access(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    await fs.access(request, node, AccessIn.parse(view).mask)
    return DONE


async def statfs(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    return answers.statfs(await fs.statfs(request))


# Changing


async def setattr(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    asked = SetattrIn.parse(view)
    valid = asked.valid
    change = Change(
        size=asked.size if valid & SetattrValid.SIZE else None,
        mode=asked.mode & 0o7777 if valid & SetattrValid.MODE else None,
        uid=asked.uid if valid & SetattrValid.UID else None,
        gid=asked.gid if valid & SetattrValid.GID else None,
        atime_ns=asked.atime * NS + asked.atimensec if valid & SetattrValid.ATIME else None,
        mtime_ns=asked.mtime * NS + asked.mtimensec if valid & SetattrValid.MTIME else None,
    )
    if valid & SetattrValid.KILL_SUIDGID:
        fs.drop_privileges(node)
    fh = FileHandle(asked.fh) if valid & SetattrValid.FH else None
    return answers.attributes(await fs.setattr(request, node, change, fh))


async def mknod(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    asked = MknodIn.parse(view)
    name = one_name(asked.names)
    return told(fs, await fs.mknod(request, node, name, asked.mode, asked.rdev))


async def mkdir(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    asked = MkdirIn.parse(view)
    return told(fs, await fs.mkdir(request, node, one_name(asked.names), asked.mode))


async def symlink(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    name, target = two_names(view[40:])
    return told(fs, await fs.symlink(request, node, name, target))


async def link(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    asked = LinkIn.parse(view)
    old, name = Node(asked.oldnodeid), one_name(asked.names)
    return told(fs, await fs.link(request, old, node, name))


async def unlink(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    await fs.unlink(request, node, one_name(view[40:]))
    return DONE


async def rmdir(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    await fs.rmdir(request, node, one_name(view[40:]))
    return DONE


async def rename(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    asked = RenameIn.parse(view)
    old, new = two_names(asked.names)
    await fs.rename(request, node, old, Node(asked.newdir), new, 0)
    return DONE


async def rename2(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    asked = Rename2In.parse(view)
    old, new = two_names(asked.names)
    await fs.rename(request, node, old, Node(asked.newdir), new, asked.flags)
    return DONE


# Extended attributes


def _sized(value: bytes, size: int) -> Answer:
    """Answer with a value, or with its length to who asked for that alone."""
    if not size:
        return Answer((bytes(GetxattrOut(size=len(value))),))
    if len(value) > size:
        raise OSError(errno.ERANGE, "the value is longer than that")
    return Answer((value,))


def getxattr_now(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer | Miss:
    asked = GetxattrIn.parse(view)
    value = fs.getxattr_now(request, node, one_name(asked.names))
    return MISS if isinstance(value, Miss) else _sized(value, asked.size)


async def getxattr(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    asked = GetxattrIn.parse(view)
    return _sized(await fs.getxattr(request, node, one_name(asked.names)), asked.size)


async def listxattr(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    size = GetxattrIn.parse(view).size
    names = await fs.listxattr(request, node)
    return _sized(b"".join(name + b"\0" for name in names), size)


async def setxattr(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    asked = SetxattrIn.parse(view)
    name = one_name(asked.rest)
    value = bytes(asked.rest[len(name) + 1 :])
    if len(value) != asked.size:
        raise WireError("an extended attribute of another length than it says")
    await fs.setxattr(request, node, name, value, asked.flags)
    return DONE


async def removexattr(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    await fs.removexattr(request, node, one_name(view[40:]))
    return DONE
