"""Asking by path while paths change."""

import errno

import trio
import trio.testing

from smbfs.errors import StatusError
from smbfs.vfs.steady import Steadiness
from smbfs.wire.status import Status
from tests.vfs.tables import fails


class Moving:
    """A file that is renamed from a to b."""

    def __init__(self) -> None:
        self.known, self.is_at = "a", "a"
        self.asked: list[str] = []

    def locate(self) -> str:
        return self.known

    async def stat(self, path: str) -> str:
        await trio.lowlevel.checkpoint()
        self.asked.append(path)
        if path != self.is_at:
            raise StatusError(Status.OBJECT_NAME_NOT_FOUND, "CREATE", path)
        return path


async def test_nothing_moves() -> None:
    steady, file = Steadiness(), Moving()
    assert await steady.at(file.locate, file.stat) == "a"
    file.is_at = "elsewhere"
    with fails(errno.ENOENT):
        await steady.at(file.locate, file.stat)
    assert file.asked == ["a", "a"]


async def test_other_errors_pass() -> None:
    async def deny(path: str) -> None:
        await trio.lowlevel.checkpoint()
        raise StatusError(Status.ACCESS_DENIED, "CREATE", path)

    with fails(errno.EACCES):
        await Steadiness().at(lambda: "a", deny)


async def test_the_answer_waits_until_the_rename_is_known() -> None:
    steady, file = Steadiness(), Moving()
    found: list[str] = []

    async def ask() -> None:
        found.append(await steady.at(file.locate, file.stat))

    async with trio.open_nursery() as nursery, steady.renaming():
        async with steady.renaming():
            file.is_at = "b"
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
        await trio.testing.wait_all_tasks_blocked()
        assert file.asked == ["a"]
        file.known = "b"
    assert found == ["b"]


async def test_a_file_that_is_gone_has_no_path() -> None:
    paths = ["a"]

    def locate() -> str:
        if not paths:
            raise OSError(errno.ESTALE, "gone")
        return paths.pop()

    with fails(errno.ESTALE):
        await Steadiness().at(locate, _nothing)


async def _nothing(path: str) -> None:
    await trio.lowlevel.checkpoint()
    raise StatusError(Status.OBJECT_NAME_NOT_FOUND, "CREATE", path)
