"""Extended attributes: ``user.*`` is what the server keeps, everything else is answered here.

``security.*``, ``trusted.*`` and POSIX ACLs are asked for at every turn (`ls -l` twice a file,
each write once) and no server has them, so they never cost a round trip; neither does a file of
which the server said that it has no attributes.  All attributes of a file come in one answer.

Easily broken: server names are ASCII without regard to case; and a server takes an empty value for
"remove it", so an empty attribute cannot be kept and is refused rather than lost.
"""

from __future__ import annotations

import errno

from smbfs.engine.how import How
from smbfs.engine.steps import query_eas, set_eas
from smbfs.errors import StatusError
from smbfs.fuse.server import MISS, Miss
from smbfs.vfs.inode import NEVER, Inode
from smbfs.vfs.volume import Volume
from smbfs.wire.status import Status

USER = b"user."
LOCAL = (b"security.", b"trusted.")
LABEL = b"security.selinux"
NAME_MAX = 255  # of a server's name, which has one byte for its length
VALUE_MAX = 65535
LARGEST = 128 * 1024  # bytes of all attributes of one file, beyond what one answer usually holds
CREATE, REPLACE = 1, 2  # of setxattr(2)

NO_DATA = errno.ENODATA
UNSUPPORTED = errno.EOPNOTSUPP


def get_now(volume: Volume, inode: Inode, name: bytes) -> bytes | Miss:
    """The value of an attribute, if it can be told without asking.  Raises OSError as `get`."""
    if not _is_supported(volume):
        # The kernel takes that for an answer once and for all: `ls -l` is five times faster then.
        raise OSError(errno.ENOSYS, "there are no attributes on this mount", name)
    if name == LABEL:
        # Who hears this of one file asks for no other: `ls -l` saves a request for each.
        raise OSError(UNSUPPORTED, "the server keeps no labels", name)
    if name.startswith(LOCAL):
        raise OSError(NO_DATA, "no such attribute", name)
    key = _key(volume, name)
    known = _known(volume, inode)
    return MISS if known is None else _value(known, key)


async def get(volume: Volume, inode: Inode, name: bytes) -> bytes:
    """The value of an attribute.  Raises OSError(ENODATA) if there is none of this name."""
    found = get_now(volume, inode, name)
    if found is not MISS:
        return found
    return _value(await _all(volume, inode), _key(volume, name))


async def names(volume: Volume, inode: Inode) -> list[bytes]:
    """The names of all attributes."""
    if not _is_supported(volume):
        return []
    try:
        return [USER + name for name in await _all(volume, inode)]
    except StatusError as error:
        if error.errno == UNSUPPORTED:
            return []
        raise


async def put(volume: Volume, inode: Inode, name: bytes, value: bytes, flags: int) -> None:
    """Set an attribute.  Raises OSError: EEXIST, ENODATA by the flags, E2BIG, EOPNOTSUPP."""
    key = _key(volume, name)
    if len(value) > VALUE_MAX:
        raise OSError(errno.E2BIG, "the server keeps 65535 bytes at most", name)
    if not value:
        raise OSError(UNSUPPORTED, "the server cannot keep an empty attribute", name)
    if flags & (CREATE | REPLACE):
        is_there = _spelling(await _all(volume, inode), key) is not None
        if is_there and flags & CREATE:
            raise FileExistsError(errno.EEXIST, "the attribute is there", name)
        if not is_there and flags & REPLACE:
            raise OSError(NO_DATA, "no such attribute", name)
    await _set(volume, inode, key, value)


async def remove(volume: Volume, inode: Inode, name: bytes) -> None:
    """Remove an attribute.  Raises OSError(ENODATA) if there is none of this name."""
    if name.startswith(LOCAL):
        raise OSError(NO_DATA, "no such attribute", name)
    key = _key(volume, name)
    if _spelling(await _all(volume, inode), key) is None:
        raise OSError(NO_DATA, "no such attribute", name)
    await _set(volume, inode, key, b"")


def _is_supported(volume: Volume) -> bool:
    return volume.presentation.user_xattr and "eas" not in volume.refused


def _key(volume: Volume, name: bytes) -> bytes:
    """The server's name of an attribute.  Raises OSError for one that it cannot have."""
    if not name.startswith(USER) or not _is_supported(volume):
        raise OSError(UNSUPPORTED, "the server keeps no such attributes", name)
    key = name.removeprefix(USER)
    if not key or not key.isascii():
        raise OSError(UNSUPPORTED, "the server keeps ASCII names only", name)
    if len(key) > NAME_MAX:
        raise OSError(errno.ERANGE, "attribute name too long", name)
    return key


def _spelling(eas: dict[bytes, bytes], key: bytes) -> bytes | None:
    """How the server spells a name, if it has it."""
    if key in eas:
        return key
    return next((name for name in eas if name.upper() == key.upper()), None)


def _value(eas: dict[bytes, bytes], key: bytes) -> bytes:
    spelling = _spelling(eas, key)
    if spelling is None:
        raise OSError(NO_DATA, "no such attribute", key)
    return eas[spelling]


def _known(volume: Volume, inode: Inode) -> dict[bytes, bytes] | None:
    """All attributes if they need not be asked for."""
    if inode.is_unlinked:  # there is no name to ask by
        return inode.eas
    if volume.is_fresh(inode) and inode.information.ea_size == 0:
        return {}
    return inode.eas if volume.left_s(inode, inode.eas_seen) else None


async def _all(volume: Volume, inode: Inode) -> dict[bytes, bytes]:
    if (known := _known(volume, inode)) is not None:
        return known
    asked = volume.moment()
    path = volume.inodes.path(inode)
    try:
        _, found = await volume.share.on(path, How.reading_eas(), query_eas())
    except StatusError as error:
        if error.status == Status.BUFFER_OVERFLOW:
            _, found = await volume.share.on(path, How.reading_eas(), query_eas(LARGEST))
        else:
            _notice(volume, error)
            raise
    inode.eas, inode.eas_seen = dict(found), asked
    return inode.eas


async def _set(volume: Volume, inode: Inode, key: bytes, value: bytes) -> None:
    path = volume.inodes.path(inode)
    try:
        await volume.share.on(path, How.writing_eas(), set_eas([(key, value)]))
    except StatusError as error:
        _notice(volume, error)
        raise
    inode.eas_seen = NEVER
    volume.inodes.changed(inode)


def _notice(volume: Volume, error: StatusError) -> None:
    """Remember a server that keeps no attributes on this share at all."""
    if error.status == Status.EAS_NOT_SUPPORTED:
        volume.refused.add("eas")
