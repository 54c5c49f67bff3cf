"""Whether what the server shows now is the file that is known already.

Easily broken: ids are used again, at once by many servers, made anew by others with every mount,
and times may be made up of one another; each rule here was learned from a server.
"""

from __future__ import annotations

from smbfs.engine.information import Information
from smbfs.vfs.inode import Inode


def is_same(known: Inode, information: Information, kind: int) -> bool:
    """Whether what is at a known file's name is still that file."""
    old = known.information
    if kind != known.kind or known.is_unlinked or is_recycled(known, information):
        return False
    if information.file_id and old.file_id:
        return information.file_id == old.file_id or not has_changed(old, information)
    return True


def is_recycled(known: Inode, information: Information) -> bool:
    """Whether the server may have given the id, or the name, of an open file to another one.

    While it knows a handle of ours it cannot, whatever happened to the creation time.
    """
    if information.creation_time == known.information.creation_time or known.is_directory:
        return False
    return bool(known.opens) and known.lend() is None


def is_another(known: Inode, information: Information) -> bool:
    """Whether an id seen at a new place is that of a new file: many servers use them again at once.

    With further hard links the times alone may have moved (a creation time may be made up of them).
    """
    if known.opens or max(known.information.links, information.links) > 1:
        return False
    return information.creation_time != known.information.creation_time


def has_changed(old: Information, new: Information) -> bool:
    """Whether what the server says of one file differs in what a change of its content changes."""
    if (old.end_of_file, old.last_write_time, old.change_time) != (
        new.end_of_file,
        new.last_write_time,
        new.change_time,
    ):
        return True
    # Samba makes a creation time up of the others, the time of the last read among them.
    is_same = bool(new.file_id) and old.file_id == new.file_id
    return not is_same and old.creation_time != new.creation_time
