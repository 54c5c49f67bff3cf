"""A filesystem that answers what a test laid out, for the servers above it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import trio

from smbfs.fuse.pyfuse3_server import Operations
from smbfs.fuse.server import MISS, Attributes, DirectoryItem, Entry, FileHandle, Node

TIMEOUT_S = 5.0
CTX = SimpleNamespace(uid=1000, gid=1001, pid=42, umask=0o22)


def attributes(node: int = 7, **more: Any) -> Attributes:
    return Attributes(
        **{
            "node": Node(node),
            "mode": 0o100644,
            "links": 2,
            "uid": 5,
            "gid": 6,
            "size": 1234,
            "blocks": 3,
            "block_size": 4096,
            "atime_ns": 1_000_000_001,
            "mtime_ns": -2,
            "ctime_ns": 3_000_000_003,
            "believe_s": 1.5,
        }
        | more
    )


ENTRY = Entry(attributes(), 2.5)
NOW = {
    "lookup_now",
    "getattr_now",
    "read_now",
    "readdir_now",
    "getxattr_now",
    "seek_now",
    "flush_now",
    "release_now",
    "write_now",
}
AT_ONCE = {"drop_privileges", "give_up", "give_up_directory", "hear", "may_read_exactly"}


class Fake:
    """A filesystem that answers what the test laid out, and notes what it was asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[Any, ...]] = []
        self.forgotten: list[tuple[Node, int]] = []
        self.was_listed: list[Node] = []

    def forget(self, nodes: list[tuple[Node, int]]) -> None:
        self.forgotten += nodes

    def dots(self, fh: FileHandle) -> list[DirectoryItem]:
        return list(self.answers.get("dots", []))

    def listed(self, node: Node) -> None:
        self.was_listed.append(node)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def at_once(*arguments: Any) -> None:
            self.asked.append((name, *arguments))

        def now(request: Any = None, *arguments: Any, **named: Any) -> Any:
            self.asked.append((name, *arguments, *named.values()))
            answer = self.answers.get(name, MISS if name in NOW else None)
            if isinstance(answer, list) and name in ("readdir_now", "readdir"):
                answer = answer.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        async def waiting(request: Any = None, *arguments: Any, **named: Any) -> Any:
            if name in self.answers and self.answers[name] is trio.sleep_forever:
                await trio.sleep_forever()
            return now(request, *arguments, **named)

        if name in AT_ONCE:
            return at_once
        return now if name in NOW else waiting


def server(**answers: Any) -> tuple[Operations, Fake]:
    fake = Fake(**answers)
    fs: Any = fake
    return Operations(fs, TIMEOUT_S), fake
