"""A line to a server on which things go wrong: cut in a frame, silent, slow, split, reordered.

Knows the frames of direct TCP ([MS-SMB2] 2.1) and of a plain message its command, status and id, no
more.  One thread for each direction of each connection; a fault holds for all connections at once.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from random import Random

from smbfs.wire.header import Command
from smbfs.wire.status import Status
from tests.relay import Relay
from tests.torture.plan import DOWN, UP, Fault

HEAD = 4
STATUS_AT, COMMAND_AT, MESSAGE_ID_AT = 8, 12, 24  # in an SMB2 header
PENDING = Status.PENDING.to_bytes(4, "little")
UNASKED = bytes([0xFF]) * 8  # the message id of what the server sends by itself
HELD_S = 0.03  # how long an answer is kept back, so that others overtake it
POLL_S = 0.02


class Proxy(Relay):
    """A relay on whose line things go wrong."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._until: dict[tuple[str, str], float] = {}  # kind and direction, until when
        self._cuts: list[list[Fault | int]] = []  # and how many frames are left before each
        self.is_open = True

    def close(self) -> None:
        """End the relay and every connection through it."""
        self.is_open = False
        super().close()

    # What goes wrong

    def strike(self, fault: Fault) -> None:
        """Let a fault of the line happen from now on."""
        if fault.kind == "cut":
            self._cut()
        elif fault.kind == "cut in a frame":
            with self._lock:
                self._cuts.append([fault, fault.frames])
        else:
            until = time.monotonic() + fault.seconds
            for direction in (UP, DOWN) if not fault.direction else (fault.direction,):
                self._until[fault.kind, direction] = until

    def heal(self) -> None:
        """Let nothing go wrong any more."""
        self._until.clear()
        with self._lock:
            self._cuts.clear()

    def _holds(self, kind: str, direction: str) -> bool:
        return time.monotonic() < self._until.get((kind, direction), 0.0)

    def _cut_after(self, direction: str) -> float | None:
        """How much of this frame passes before the line is cut; None for all of it, and no cut."""
        with self._lock:
            for cut in self._cuts:
                fault, left = cut
                assert isinstance(fault, Fault)
                assert isinstance(left, int)
                if fault.direction != direction:
                    continue
                if left <= 0:
                    self._cuts.remove(cut)
                    return fault.part
                cut[1] = left - 1
        return None

    # What goes on

    def _takes(self, client: socket.socket) -> bool:
        if self._holds("black hole", UP) or self._holds("black hole", DOWN):
            self.spawn(_swallow, client)
            return False
        return True

    def _joined(self, client: socket.socket, server: socket.socket) -> None:
        self.spawn(self._pass, client, server, UP)
        self.spawn(self._pass, server, client, DOWN)

    def _pass(self, source: socket.socket, target: socket.socket, direction: str) -> None:
        way, overtaken = threading.Lock(), Random(len(self._pairs))
        with contextlib.suppress(OSError):
            for frame in _frames(source):
                part = self._cut_after(direction)
                if part is not None:
                    with way:
                        target.sendall(frame[: int(len(frame) * part)])
                    break
                self._wait(direction)
                if self._is_dropped(frame, direction):
                    continue
                if self._may_be_overtaken(frame, direction) and overtaken.random() < 0.5:
                    held = threading.Timer(HELD_S, self._send, (target, frame, direction, way))
                    held.daemon = True
                    held.start()
                else:
                    self._send(target, frame, direction, way)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()  # the other direction closes the other end

    def _wait(self, direction: str) -> None:
        if self._holds("delay", direction):
            time.sleep(0.05)
        elif self._holds("merge", direction):
            time.sleep(0.01)
        while self.is_open and (
            self._holds("silence", direction) or self._holds("black hole", direction)
        ):
            time.sleep(POLL_S)

    def _is_dropped(self, frame: bytes, direction: str) -> bool:
        if direction != UP or not self._holds("no acknowledgements of breaks", UP):
            return False
        at = HEAD + COMMAND_AT
        return frame[HEAD : HEAD + 4] == b"\xfeSMB" and frame[at] == Command.OPLOCK_BREAK

    def _may_be_overtaken(self, frame: bytes, direction: str) -> bool:
        """Whether the order is free: of final answers it is; an interim one comes before them."""
        if direction != DOWN or not self._holds("reordered answers", DOWN):
            return False
        message = frame[HEAD:]
        is_plain, status = message[:4] == b"\xfeSMB", message[STATUS_AT : STATUS_AT + 4]
        is_asked = message[MESSAGE_ID_AT : MESSAGE_ID_AT + 8] != UNASKED
        return is_plain and is_asked and status != PENDING

    def _send(
        self, target: socket.socket, frame: bytes, direction: str, way: threading.Lock
    ) -> None:
        with way, contextlib.suppress(OSError):
            if not self._holds("split", direction):
                target.sendall(frame)
                return
            for at in range(0, min(len(frame), 64), 7):
                target.sendall(frame[at : min(at + 7, 64)])
                time.sleep(0.0005)
            target.sendall(frame[64:])


def _frames(source: socket.socket) -> Iterator[bytes]:
    with source.makefile("rb", buffering=0) as stream:
        while head := _exactly(stream, HEAD):
            body = _exactly(stream, int.from_bytes(head[1:], "big"))
            yield head + body
            if not body:
                return


def _exactly(stream: object, size: int) -> bytes:
    parts, left = [], size
    while left and (part := stream.read(left)):  # type: ignore[attr-defined]  # a raw socket file
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _swallow(client: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while client.recv(65536):
            pass
    client.close()
