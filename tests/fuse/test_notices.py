"""Notices go to the kernel in order, from a thread, and may fail."""

from __future__ import annotations

import errno
import threading

import pytest

from smbfs.fuse.notices import MOST_THREADS, Notices
from smbfs.fuse.server import Deaf, Kernel, Node


class Recorder:
    """A kernel that notes what it is told, and by whom."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []
        self.threads: set[str] = set()
        self.alone_in: set[int] = set()  # threads that were prepared

    def alone(self) -> None:
        self.alone_in.add(threading.get_ident())

    def drop_attributes(self, node: Node) -> None:
        self.threads.add(threading.current_thread().name)
        self.heard.append(("attributes", node))

    def drop_data(self, node: Node, offset: int, size: int) -> None:
        if node == 13:
            raise OSError(errno.ENOENT, "not cached")
        self.heard.append(("data", node, offset, size))

    def expire_name(self, parent: Node, name: bytes) -> None:
        self.heard.append(("expire", parent, name))

    def release_name(self, parent: Node, name: bytes) -> None:
        if name == b"unknown":
            raise OSError(errno.ENOENT, "not cached")
        self.heard.append(("release", parent, name))

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
    unneeded = [(Node(1), b"c"), (Node(1), b"unknown"), (Node(4), b"d")]
    kernel.names_unneeded(unneeded, lambda: done.append("released"))


def test_everything_is_told_in_order_by_a_thread() -> None:
    recorder, done = Recorder(), list[str]()
    notices = Notices(recorder)
    tell_all(notices, done)
    notices.close()
    assert notices.join(5)
    assert by_node(recorder) == {
        1: [("expire", 1, b"a"), ("remove", 1, b"b", 5), ("release", 1, b"c")],
        2: [("attributes", 2)],
        3: [("data", 3, 0, 10), ("store", 3, 4096, b"data")],
        4: [("release", 4, b"d")],
    }
    assert recorder.threads == {"MainThread"}, "attributes never wait, and are told at once"
    assert sorted(done) == ["dropped", "refused", "released"]
    assert recorder.alone_in
    assert threading.get_ident() not in recorder.alone_in


def by_node(recorder: Recorder) -> dict[object, list[tuple[object, ...]]]:
    """What was told of each node, in order."""
    found: dict[object, list[tuple[object, ...]]] = {}
    for one in recorder.heard:
        found.setdefault(one[1], []).append(one)
    return found


class Stuck(Recorder):
    """A kernel that keeps a thread waiting over one node."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()

    def drop_data(self, node: Node, offset: int, size: int) -> None:
        if node == 7:
            assert self.free.wait(10)
        super().drop_data(node, offset, size)


def test_one_that_waits_keeps_no_other_node_waiting() -> None:
    kernel, order = Stuck(), list[str]()
    notices = Notices(kernel)
    told = threading.Event()
    notices.data_changed(Node(7), 0, 1, lambda: order.append("first"))
    notices.data_changed(Node(7), 0, 2, lambda: order.append("second"))
    notices.data_changed(Node(8), then=told.set)
    assert told.wait(10)
    assert order == []
    kernel.free.set()
    notices.close()
    assert notices.join(10)
    assert order == ["first", "second"]


def test_there_are_no_more_threads_than_may_be() -> None:
    kernel = Stuck()
    notices = Notices(kernel)
    for node in range(5 * MOST_THREADS):
        notices.data_changed(Node(7 if node < MOST_THREADS else node))
    assert len(notices._threads) <= MOST_THREADS
    kernel.free.set()
    notices.close()
    assert notices.join(10)
    assert len(kernel.heard) == 5 * MOST_THREADS - 1  # of node 13 nothing is cached


def test_after_the_end_there_is_nothing_to_wait_for() -> None:
    notices, done = Notices(Recorder()), list[str]()
    notices.close()
    notices.data_changed(Node(3), then=lambda: done.append("done"))
    assert done == ["done"]
    assert notices.join(1)


@pytest.mark.logs("bug: a notice to the kernel failed: KeyError")
def test_a_bug_in_one_does_not_end_the_others() -> None:
    class Buggy(Recorder):
        def drop_data(self, node: Node, offset: int, size: int) -> None:
            raise KeyError(node)

    kernel, done = Buggy(), list[str]()
    notices = Notices(kernel)
    notices.data_changed(Node(2), then=lambda: done.append("then"))
    notices.attributes_changed(Node(2))
    notices.close()
    assert notices.join(10)
    assert done == ["then"]
    assert kernel.heard == [("attributes", 2)]


def test_where_nobody_hears_everything_is_done_at_once() -> None:
    done: list[str] = []
    tell_all(Deaf(), done)
    assert done == ["refused", "dropped", "released"]
