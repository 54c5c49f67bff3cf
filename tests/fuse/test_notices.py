"""Notices go to the kernel in order, from a thread, and may fail."""

from __future__ import annotations

import errno
import threading

from smbfs.fuse.notices import Notices
from smbfs.fuse.server import Deaf, Kernel, Node


class Recorder:
    """A kernel that notes what it is told, and by whom."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []
        self.threads: set[str] = set()

    def drop_attributes(self, node: Node) -> None:
        self.threads.add(threading.current_thread().name)
        self.heard.append(("attributes", node))

    def drop_data(self, node: Node, offset: int, size: int) -> None:
        if node == 13:
            raise OSError(errno.ENOENT, "not cached")
        self.heard.append(("data", node, offset, size))

    def expire_name(self, parent: Node, name: bytes) -> None:
        self.heard.append(("expire", parent, name))

    def remove_name(self, parent: Node, name: bytes, node: Node) -> None:
        self.heard.append(("remove", parent, name, node))

    def store(self, node: Node, offset: int, data: bytes) -> None:
        self.heard.append(("store", node, offset, data))


def tell_all(kernel: Kernel, done: list[str]) -> None:
    kernel.attributes_changed(Node(2))
    kernel.data_changed(Node(13), then=lambda: done.append("refused"))
    kernel.data_changed(Node(3), 0, 10, lambda: done.append("dropped"))
    kernel.name_changed(Node(1), b"a")
    kernel.name_removed(Node(1), b"b", Node(5))
    kernel.data_known(Node(3), 4096, b"data")


def test_everything_is_told_in_order_by_a_thread() -> None:
    recorder, done = Recorder(), list[str]()
    notices = Notices(recorder)
    tell_all(notices, done)
    notices.close()
    assert notices.join(5)
    assert recorder.heard == [
        ("attributes", 2),
        ("data", 3, 0, 10),
        ("expire", 1, b"a"),
        ("remove", 1, b"b", 5),
        ("store", 3, 4096, b"data"),
    ]
    assert recorder.threads == {"notices"}
    assert done == ["refused", "dropped"]


def test_where_nobody_hears_everything_is_done_at_once() -> None:
    done: list[str] = []
    tell_all(Deaf(), done)
    assert done == ["refused", "dropped"]
