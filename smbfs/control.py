"""The control socket of a running mount, both ends: one line of JSON in, one out.

The daemon listens in the run directory of its user under the number that the mount table has for
its mount, so that whoever sees the mount finds it.  Commands are functions that are handed in, and
none waits for the server.  Easily broken: only its own user and root may ask, which the kernel
tells of the peer; a peer that says nothing is not waited for; and a socket that a crash left
behind is in nobody's way.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import trio

from smbfs import places

log = logging.getLogger(__name__)

Command = Callable[[], Mapping[str, object]]
LONGEST = 4096  # bytes of a question
PATIENCE_S = 5.0
MOST = 8  # who ask at the same time
PEER = struct.Struct("3i")  # struct ucred, unix(7)


class NobodyThere(Exception):
    """Nobody answers for a mount; the text says why."""


def path_of(device: str, uid: int) -> Path:
    """Where the socket of a mount is, by its number in the mount table and its user."""
    return places.run_directory(uid) / device.replace(":", "-")


# The daemon's end


def listen(device: str) -> trio.SocketListener:
    """Listen for a mount of ours.  Raises OSError."""
    path = path_of(device, os.geteuid())
    places.own(path.parent)
    path.unlink(missing_ok=True)  # of a mount that had this number and was killed
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(os.fspath(path))
        path.chmod(0o600)
        listening.listen(MOST)
    except BaseException:
        listening.close()
        raise
    return trio.SocketListener(trio.socket.from_stdlib_socket(listening))


async def serve(listener: trio.SocketListener, commands: Mapping[str, Command]) -> None:
    """Answer whoever asks, until cancelled; then the socket is gone."""
    path = listener.socket.getsockname()
    try:
        async with trio.open_nursery() as nursery:
            limit = trio.CapacityLimiter(MOST)
            while True:
                stream = await listener.accept()
                nursery.start_soon(_answer, stream, commands, limit)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)
        listener.socket.close()


async def _answer(
    stream: trio.SocketStream, commands: Mapping[str, Command], limit: trio.CapacityLimiter
) -> None:
    async with stream:
        with trio.move_on_after(PATIENCE_S):
            try:
                async with limit:
                    answer = await _said(stream, commands)
                    await stream.send_all(json.dumps(answer).encode() + b"\n")
            except (OSError, trio.BrokenResourceError) as error:
                log.debug("who asked for the state is gone: %s", error)


async def _said(stream: trio.SocketStream, commands: Mapping[str, Command]) -> Mapping[str, object]:
    told = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size)
    _, uid, _ = PEER.unpack(told)
    if uid not in (0, os.geteuid()):
        return {"error": "this is somebody else's mount"}
    question = b""
    while not question.endswith(b"\n") and len(question) < LONGEST:
        more = await stream.receive_some(LONGEST)
        if not more:
            break
        question += more
    try:
        name = json.loads(question)["command"]
        command = commands[name]
    except (ValueError, TypeError, KeyError):
        return {"error": "there is no such command"}
    try:
        return command()
    except Exception as bug:
        log.exception("bug: %r could not be answered", name)
        return {"error": f"internal error, please report it ({bug!r})"}


# The other end


def ask(device: str, uid: int, command: str) -> dict[str, Any]:
    """Ask a mount one thing; its answer.  Raises NobodyThere, also for an error it tells."""
    path = path_of(device, uid)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(PATIENCE_S)
            sock.connect(os.fspath(path))
            sock.sendall(json.dumps({"command": command}).encode() + b"\n")
            with sock.makefile("rb") as answer:
                found = json.loads(answer.readline())
    except TimeoutError as error:
        raise NobodyThere("its smbfs does not answer") from error
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NobodyThere("no smbfs of this version serves it") from error
    except PermissionError as error:
        raise NobodyThere("it is somebody else's: only they and root may ask") from error
    except (OSError, ValueError) as error:
        raise NobodyThere(f"its smbfs gave no answer ({error})") from error
    if not isinstance(found, dict) or "error" in found:
        raise NobodyThere(str(found["error"]) if isinstance(found, dict) else "it made no sense")
    return found
