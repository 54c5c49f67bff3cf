"""Notices are the messages that the kernel expects."""

from __future__ import annotations

import os
import struct
import threading

from smbfs.fuse.native.notices import NoticeWriter
from smbfs.fuse.native.uapi import InitFlag, Notify
from smbfs.fuse.server import Node
from tests.fake.kernel import FakeKernel


def test_every_notice() -> None:
    kernel = FakeKernel()
    writer = NoticeWriter(kernel.fd, InitFlag.HAS_EXPIRE_ONLY)
    writer.drop_attributes(Node(5))
    writer.drop_data(Node(5), 4096, 8192)
    writer.drop_data(Node(5), 0, -1)
    writer.expire_name(Node(1), b"name")
    NoticeWriter(kernel.fd, 0).expire_name(Node(1), b"old")
    writer.release_name(Node(1), b"unneeded")
    writer.remove_name(Node(1), b"gone", Node(9))
    writer.store(Node(5), 4096, b"data")
    kernel.hear()
    heard = [(said.error, said.body) for said in kernel.notices]
    assert heard == [
        (Notify.INVAL_INODE, struct.pack("<Qqq", 5, -1, 0)),
        (Notify.INVAL_INODE, struct.pack("<Qqq", 5, 4096, 8192)),
        (Notify.INVAL_INODE, struct.pack("<Qqq", 5, 0, 0)),
        (Notify.INVAL_ENTRY, struct.pack("<QII", 1, 4, 1) + b"name\0"),
        (Notify.INVAL_ENTRY, struct.pack("<QII", 1, 3, 0) + b"old\0"),
        (Notify.INVAL_ENTRY, struct.pack("<QII", 1, 8, 0) + b"unneeded\0"),
        (Notify.DELETE, struct.pack("<QQII", 1, 9, 4, 0) + b"gone\0"),
        (Notify.STORE, struct.pack("<QQII", 5, 4096, 4, 0) + b"data"),
    ]
    kernel.close()
    os.close(kernel.fd)


def test_its_threads_see_no_other_descriptor() -> None:
    kernel = FakeKernel()
    other = os.open("/dev/null", os.O_RDONLY)
    seen: list[str] = []

    def look() -> None:
        NoticeWriter(kernel.fd, 0).alone()
        seen.extend(os.readlink(f"/proc/thread-self/fd/{fd}") for fd in descriptors())

    def descriptors() -> list[int]:
        # /proc itself cannot be listed without a descriptor: these are tried one by one.
        return [fd for fd in range(max(other, kernel.fd) + 8) if is_open(fd)]

    thread = threading.Thread(target=look)
    thread.start()
    thread.join(10)
    assert [one.partition(":")[0] for one in seen] == ["socket"]
    os.fstat(other)  # ours is open still
    NoticeWriter(kernel.fd, 0).drop_attributes(Node(5))
    kernel.hear()
    assert len(kernel.notices) == 1
    os.close(other)
    kernel.close()
    os.close(kernel.fd)


def is_open(fd: int) -> bool:
    """Whether the calling thread sees an open file by that number."""
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
