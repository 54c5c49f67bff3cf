"""The kernel's questions about open directories.

Easily broken: an entry counts as one lookup when it was packed, and no longer if the kernel did
not get the answer; ``.`` and ``..`` never count; and once an answer holds entries an error waits
until the kernel comes again, or they would be lost.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from smbfs.fuse.native import answers
from smbfs.fuse.native.answers import DONE, Answer
from smbfs.fuse.native.questions import FsyncIn, ReadIn, ReleaseIn
from smbfs.fuse.server import MISS, FileHandle, Miss, Node, Request

if TYPE_CHECKING:
    from smbfs.vfs.filesystem import Filesystem

DOTS = 2  # cookies of ``.`` and ``..``; what follows has higher ones


class Page:
    """One answer to READDIR or READDIRPLUS while it is being filled."""

    def __init__(self, fs: Filesystem, view: memoryview, *, is_plus: bool) -> None:
        asked = ReadIn.parse(view)
        self.fh = FileHandle(asked.fh)
        self.after = asked.offset
        self.parts: list[bytes] = []
        self.nodes: list[Node] = []
        self.is_full = False
        self._fs = fs
        self._room = asked.size
        self._is_plus = is_plus
        if self.after < DOTS:
            dots = fs.dots(self.fh)[self.after :]
            self._put(answers.listing(dots, asked.size, is_plus=is_plus, count_lookups=False))
            self.after = max(self.after, DOTS) if not self.is_full else self.after

    def fill_now(self, request: Request) -> bool:
        """Put in what is at hand; whether the page is done."""
        while not self.is_full:
            items = self._fs.readdir_now(request, self.fh, self.after)
            if isinstance(items, Miss):
                return False
            if not items:
                return True
            self._put(answers.listing(items, self._room, is_plus=self._is_plus))
            self.after = items[-1].next_id
        return True

    async def fill(self, request: Request) -> None:
        """Put in what is at hand, and one more piece of the listing if that is nothing."""
        while not self.fill_now(request):
            if self.parts:
                return  # what is here is enough: to wait for more helps nobody
            items = await self._fs.readdir(request, self.fh, self.after)
            if not items:
                return
            self._put(answers.listing(items, self._room, is_plus=self._is_plus))
            self.after = items[-1].next_id

    def _put(self, packed: tuple[list[bytes], list[Node], bool]) -> None:
        parts, nodes, all_fitted = packed
        self.parts += parts
        self._room -= sum(map(len, parts))
        self.is_full = not all_fitted
        listed = self._fs.listed
        for node in nodes:
            listed(node)
        self.nodes += nodes

    def undo(self) -> None:
        """Take the lookups back that the kernel did not get."""
        if self.nodes:
            self._fs.forget([(node, 1) for node in self.nodes])

    @contextlib.contextmanager
    def undone_by_failure(self) -> Iterator[None]:
        """Take the lookups back if no answer comes of it."""
        try:
            yield
        except BaseException:
            self.undo()
            raise

    def answer(self) -> Answer:
        """The page as a reply."""
        return Answer((b"".join(self.parts),), self.undo)


def _read_now(fs: Filesystem, request: Request, view: memoryview, is_plus: bool) -> Answer | Miss:
    page = Page(fs, view, is_plus=is_plus)
    with page.undone_by_failure():
        is_done = page.fill_now(request)
    return page.answer() if is_done or page.parts else MISS


async def _read(fs: Filesystem, request: Request, view: memoryview, is_plus: bool) -> Answer:
    page = Page(fs, view, is_plus=is_plus)
    with page.undone_by_failure():
        await page.fill(request)
    return page.answer()


def readdir_now(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer | Miss:
    return _read_now(fs, request, view, False)


async def readdir(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    return await _read(fs, request, view, False)


def readdirplus_now(
    fs: Filesystem, request: Request, node: Node, view: memoryview
) -> Answer | Miss:
    return _read_now(fs, request, view, True)


async def readdirplus(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    return await _read(fs, request, view, True)


async def opendir(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    opened = await fs.opendir(request, node)
    return Answer(answers.opened(opened), lambda: fs.give_up_directory(opened.fh))


async def releasedir(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    await fs.releasedir(request, FileHandle(ReleaseIn.parse(view).fh))
    return DONE


async def fsyncdir(fs: Filesystem, request: Request, node: Node, view: memoryview) -> Answer:
    await fs.fsyncdir(request, FileHandle(FsyncIn.parse(view).fh))
    return DONE
