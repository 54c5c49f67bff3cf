"""The control socket: who may ask, what is answered, and that nobody is waited for."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from smbfs import control
from smbfs.control import NobodyThere

DEVICE = "0:77"
ME = os.geteuid()


@pytest.fixture(autouse=True)
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMBFS_RUN_DIR", str(tmp_path / "run"))


def broken() -> Mapping[str, object]:
    raise RuntimeError("oh")


@asynccontextmanager
async def listening() -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        listener = control.listen(DEVICE)
        nursery.start_soon(control.serve, listener, {"status": lambda: {"a": 1}, "bug": broken})
        yield
        nursery.cancel_scope.cancel()


async def ask(command: str = "status") -> dict[str, Any]:
    return await trio.to_thread.run_sync(partial(control.ask, DEVICE, ME, command))


async def said(question: bytes) -> bytes:
    stream = await trio.open_unix_socket(os.fspath(control.path_of(DEVICE, ME)))
    async with stream:
        await stream.send_all(question)
        await stream.send_eof()
        return b"".join([part async for part in stream])


async def test_a_question_and_its_answer() -> None:
    async with listening():
        assert await ask() == {"a": 1}
        path = control.path_of(DEVICE, ME)
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
    assert not path.exists()
    with pytest.raises(NobodyThere, match="no smbfs of this version"):
        await ask()


@pytest.mark.parametrize(
    "question", [b"", b"{", b"[]\n", b'{"command": "x"}\n', b'{"command": []}\n', b"x" * 4000]
)
async def test_nonsense(question: bytes) -> None:
    async with listening():
        assert b"no such command" in await said(question)
        assert await ask() == {"a": 1}


@pytest.mark.logs("bug: 'bug' could not be answered")
async def test_a_bug_is_told() -> None:
    async with listening():
        with pytest.raises(NobodyThere, match=r"internal error.*oh"):
            await ask("bug")
        assert await ask() == {"a": 1}


async def test_who_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "PATIENCE_S", 0.2)
    async with listening():
        path = os.fspath(control.path_of(DEVICE, ME))
        silent = [await trio.open_unix_socket(path) for _ in range(2 * control.MOST)]
        await trio.sleep(0.5)
        monkeypatch.setattr(control, "PATIENCE_S", 5)
        assert await ask() == {"a": 1}
        for stream in silent:
            await stream.aclose()


async def test_who_hangs_up_is_nobody() -> None:
    async with listening():
        for _ in range(control.MOST // 2):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(os.fspath(control.path_of(DEVICE, ME)))
                sock.send(b'{"command": "status"}\n')
        assert await ask() == {"a": 1}


async def test_others_may_not_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening():
        monkeypatch.setattr(control, "PEER", Fake())
        with pytest.raises(NobodyThere, match="somebody else's mount"):
            await ask()


class Fake:
    """A kernel that says that somebody else asks."""

    size = 12

    def unpack(self, told: bytes) -> tuple[int, int, int]:
        return 1, 1234, 1234


async def test_what_a_killed_one_left_is_in_nobody_s_way() -> None:
    listener = control.listen(DEVICE)
    listener.socket.close()
    with pytest.raises(NobodyThere, match="no smbfs"):
        await ask()
    async with listening():
        assert await ask() == {"a": 1}


async def test_one_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "PATIENCE_S", 0.1)
    listener = control.listen(DEVICE)
    with pytest.raises(NobodyThere, match="does not answer"):
        await ask()
    listener.socket.close()


@pytest.mark.parametrize(
    ("answer", "words"),
    [(b"", "gave no answer"), (b"[]\n", "made no sense"), (b"{\n", "no answer")],
)
async def test_an_answer_that_is_none(answer: bytes, words: str) -> None:
    listener = control.listen(DEVICE)

    async def lie() -> None:
        async with await listener.accept() as stream:
            await stream.receive_some()
            await stream.send_all(answer)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lie)
        with pytest.raises(NobodyThere, match=words):
            await ask()
    listener.socket.close()


def test_a_place_that_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(0o777)
    with pytest.raises(PermissionError):
        control.listen(DEVICE)


def test_somebody_else_s(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(NobodyThere, match="somebody else's"):
        control.ask(DEVICE, ME, "status")
