"""A long way to a server: a relay of its own process that delays each byte and counts what passes.

    python -m tests.bench.distance.relay --listen 127.0.0.1:0 --to 127.0.0.1:445 --delay 0.005

It writes the port that it listens on; then a line "count" on its standard input has it write what
passed since the last one, as JSON.  One thread, one ``select``, whose timeouts are exact to some
50 us (those of epoll are whole milliseconds): the way is as long as it says, and carries some GB/s.

``turns`` is how often the talk turned round: bytes towards the server after bytes towards the
client.  One question after the other makes as many turns as turnarounds; where many are under way
it is an upper limit.  ``frames`` is how many SMB frames went towards the server.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import select
import socket
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field

CHUNK = 1 << 20
MOST = 256 << 20  # bytes on their way in one direction; more have to wait at the entrance
PREFIX = 4  # the length of a frame on TCP, [MS-SMB2] 2.1


@dataclass(slots=True)
class Count:
    """What passed."""

    turns: int = 0
    frames: int = 0
    sent: int = 0  # bytes to the server
    received: int = 0


@dataclass(slots=True)
class Frames:
    """Counts the frames of a stream that comes in pieces."""

    count: int = 0
    _missing: int = 0  # bytes of the frame that is under way
    _head: bytes = b""

    def feed(self, data: bytes | memoryview) -> int:
        """Take a piece; how many frames began in it."""
        began, view = 0, memoryview(data)
        while view:
            if self._missing:
                taken = min(self._missing, len(view))
                self._missing -= taken
                view = view[taken:]
                continue
            taken = PREFIX - len(self._head)
            self._head += bytes(view[:taken])
            view = view[taken:]
            if len(self._head) == PREFIX:
                self._missing = int.from_bytes(self._head[1:], "big")
                self._head = b""
                began += 1
        self.count += began
        return began


@dataclass(eq=False, slots=True)
class Way:
    """One direction of one connection."""

    source: socket.socket
    target: socket.socket
    is_to_server: bool
    frames: Frames = field(default_factory=Frames)
    pieces: deque[tuple[float, memoryview]] = field(default_factory=deque)
    size: int = 0
    is_ended: bool = False  # by who sends

    def take(self, due_s: float) -> int:
        """Let a piece in; how many bytes it has."""
        try:
            data = self.source.recv(CHUNK)
        except BlockingIOError:
            return 0
        except OSError:
            data = b""
        self.pieces.append((due_s, memoryview(data)))
        self.size += len(data)
        self.is_ended = not data
        if self.is_to_server:
            self.frames.feed(data)
        return len(data)

    def give(self, now_s: float) -> int:
        """Let out what is due, as far as it is taken; how many bytes.  Raises OSError."""
        given = 0
        while self.pieces and self.pieces[0][0] <= now_s:
            due_s, data = self.pieces[0]
            if not data:
                self.target.shutdown(socket.SHUT_WR)
                self.pieces.popleft()
                continue
            try:
                count = self.target.send(data)
            except BlockingIOError:
                break
            given += count
            if count == len(data):
                self.pieces.popleft()
            else:
                self.pieces[0] = due_s, data[count:]
        self.size -= given
        return given


class Relay:
    """All connections of one way."""

    def __init__(self, listener: socket.socket, to: tuple[str, int], delay_s: float) -> None:
        self.count = Count()
        self._listener = listener
        self._to = to
        self._delay_s = delay_s
        self._ways: list[Way] = []
        self._was_received = False  # towards the client, since the last byte towards the server

    def accept(self) -> None:
        """Let somebody in."""
        client, _ = self._listener.accept()
        server = socket.create_connection(self._to)
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one.setblocking(False)
        self._ways += [Way(client, server, True), Way(server, client, False)]

    def step(self, *others: int) -> list[int]:
        """Wait for something and do it; which of the other descriptors can be read."""
        now_s = time.monotonic()
        self._give(now_s)
        dues = [way.pieces[0][0] for way in self._ways if way.pieces]
        late = [way.target for way in self._ways if way.pieces and way.pieces[0][0] <= now_s]
        rest_s = max(0.0, min(dues) - time.monotonic()) if dues and not late else None
        entrances = {
            way.source.fileno(): way for way in self._ways if not way.is_ended and way.size < MOST
        }
        watched = [self._listener.fileno(), *others, *entrances]
        ready, _, _ = select.select(watched, late, [], rest_s)
        now_s = time.monotonic()
        for descriptor in ready:
            if descriptor == self._listener.fileno():
                self.accept()
            elif (way := entrances.get(descriptor)) is not None:
                self._take(way, now_s + self._delay_s)
        return [one for one in ready if one in others]

    def _take(self, way: Way, due_s: float) -> None:
        began = way.frames.count
        size = way.take(due_s)
        if way.is_to_server and size:
            self.count.turns += self._was_received or not self.count.sent
            self._was_received = False
            self.count.sent += size
            self.count.frames += way.frames.count - began

    def _give(self, now_s: float) -> None:
        for way in list(self._ways):
            try:
                given = way.give(now_s)
            except OSError:  # the other end is gone, and what is on its way with it
                self._ways = [one for one in self._ways if one.target is not way.target]
                way.source.close()
                way.target.close()
                self._ways = [one for one in self._ways if one.source.fileno() >= 0]
                return
            if given and not way.is_to_server:
                self._was_received = True
                self.count.received += given


def main() -> None:
    """Relay until the standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.distance.relay")
    parser.add_argument("--listen", default="127.0.0.1:0")
    parser.add_argument("--to", required=True)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds, one way")
    chosen = parser.parse_args()
    host, _, port = chosen.listen.rpartition(":")
    to_host, _, to_port = chosen.to.rpartition(":")
    with socket.create_server((host, int(port))) as listener:
        relay = Relay(listener, (to_host, int(to_port)), chosen.delay)
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                if not relay.step(0):
                    continue
                if not sys.stdin.readline():
                    return
                sys.stdout.write(json.dumps(asdict(relay.count)) + "\n")
                sys.stdout.flush()
                relay.count = Count()


if __name__ == "__main__":
    main()
