"""Notices go to the kernel in order, from a thread, and may fail."""

from __future__ import annotations

import errno
import threading

from smbfs.fuse.notices import Notices
from smbfs.fuse.server import Kernel, Node


class Recorder:
    """A kernel that notes what it is told, and by whom."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []
        self.threads: set[str] = set()

    def invalidate_inode(self, inode: int, attr_only: bool) -> None:
        self.threads.add(threading.current_thread().name)
        if inode == 13:
            raise OSError(errno.ENOENT, "not cached")
        self.heard.append(("inode", inode, attr_only))

    def invalidate_entry(self, inode_p: int, name: bytes, deleted: int) -> None:
        self.heard.append(("entry", inode_p, name, deleted))


def test_everything_is_told_in_order_by_a_thread() -> None:
    recorder = Recorder()
    notices: Kernel = Notices(recorder)
    notices.attributes_changed(Node(2))
    notices.data_changed(Node(13))
    notices.data_changed(Node(3), 0, 10)
    notices.name_changed(Node(1), b"a")
    notices.name_removed(Node(1), b"b", Node(5))
    assert isinstance(notices, Notices)
    notices.close()
    assert notices.join(5)
    assert recorder.heard == [
        ("inode", 2, True),
        ("inode", 3, False),
        ("entry", 1, b"a", 0),
        ("entry", 1, b"b", 5),
    ]
    assert recorder.threads == {"notices"}
