"""One /dev/fuse descriptor: read a request, answer it on the spot or by a task of its own.

One task reads, so a request is always known before its INTERRUPT.  What the filesystem has at
hand is answered before the next read; only the rest costs a task and a deadline.

Easily broken: each request is answered exactly once, also when its asker was told EINTR while the
work goes on; what the kernel did not get to know is undone; and no exception but the end of the
descriptor leaves the loop, or a mount would die of one odd message.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from smbfs.fuse.native.answers import Answer, Parts
from smbfs.fuse.native.buffers import Buffers
from smbfs.fuse.native.greeting import Agreed, TooOld, Wishes, agree, other_major
from smbfs.fuse.native.operations import OPERATIONS, Ending, Operation
from smbfs.fuse.native.questions import InitIn, InterruptIn
from smbfs.fuse.native.replies import OutHeader
from smbfs.fuse.native.signals import signals_of, was_killed
from smbfs.fuse.native.uapi import IN_HEADER, LONGEST_HEADER, MAJOR, OUT_HEADER, InitFlag, Opcode
from smbfs.fuse.server import MISS, Node, Request, bounded, errno_of
from smbfs.wire.codec import WireError

if TYPE_CHECKING:
    from smbfs.vfs.filesystem import Filesystem

log = logging.getLogger(__name__)

MANY = 32  # requests answered at a stretch before others get their turn
LARGE = 64 * 1024  # so many bytes count as one more: what is written has to be sent as well
ASK_AGAIN_S = 0.1  # after a signal that did not end the call there may come one that does
WITHDRAWN = (errno.ENOENT, errno.EINTR)  # the asker gave up before we read it
UNMOUNTED = (errno.ENODEV, errno.ECONNABORTED, errno.EPIPE)
INTERRUPT_BIT = 1  # in the number of an INTERRUPT's own reply
END_OF_ERRNO = 512
MOST_PARTS = os.sysconf("SC_IOV_MAX") - 1  # in one reply, besides its header
UNANSWERED = frozenset({Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT, Opcode.NOTIFY_REPLY})
HEADER = struct.Struct("=4xIQQIII")  # what is needed of an `InHeader`
REPLY = struct.Struct("=" + OutHeader.LAYOUT)


@dataclass(slots=True, eq=False)
class Pending:
    """A request that waits for its answer."""

    request: Request
    unique: int
    ending: Ending
    is_answered: bool = False


class Session:
    """The kernel's side of one mount; `serve` is its life."""

    def __init__(
        self,
        fd: int,
        filesystem: Filesystem,
        timeout_s: float,
        wishes: Wishes | None = None,
        *,
        only: int | None = None,
    ) -> None:
        self.fd = fd
        self.agreed: Agreed | None = None
        self._fs = filesystem
        self._timeout_s = timeout_s
        self._wishes = wishes or Wishes()
        self._only = only  # besides root, with ``allow_root``
        self._pending: dict[int, Pending] = {}
        self._buffers = Buffers(self._wishes.max_write + LONGEST_HEADER)
        self._scope = trio.CancelScope()
        self._error: Exception | None = None

    @property
    def waiting(self) -> int:
        """How many requests are being answered."""
        return len(self._pending)

    async def serve(self) -> None:
        """Answer until the mount is gone, or `stop`; raises `TooOld` if the kernel is."""
        async with trio.open_nursery() as nursery:
            with self._scope:
                await self._read_all(nursery)
                self._give_up_on(Ending.WAITS)  # nobody is left who asked
            self._give_up_on(Ending.LOCKS)
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Read no more; `serve` returns once running requests are answered."""
        self._scope.cancel()

    def _give_up_on(self, ending: Ending) -> None:
        """End the waits of one kind: they might last longer than the mount."""
        for pending in self._pending.values():
            if pending.ending is ending:
                pending.request.interrupt()

    async def _read_all(self, nursery: trio.Nursery) -> None:
        """Read and answer until the descriptor ends."""
        since_pause = 0
        while self._error is None:
            buffer = self._buffers.free()
            try:
                size = os.readv(self.fd, [buffer])
            except BlockingIOError:
                since_pause = 0
                self._buffers.tidy()
                await trio.lowlevel.wait_readable(self.fd)
                continue
            except OSError as error:
                if error.errno in WITHDRAWN:
                    continue
                if error.errno not in UNMOUNTED:
                    log.error("bug: reading requests ended: %s", error)
                return
            if size < IN_HEADER:
                return  # the other end of a socket closed
            self._take(memoryview(buffer)[:size], nursery)
            since_pause += 1 + size // LARGE
            if since_pause >= MANY:
                since_pause = 0
                await trio.lowlevel.checkpoint()

    # One request

    def _take(self, view: memoryview, nursery: trio.Nursery) -> None:
        """Answer a request, or start a task that will; never raises."""
        opcode, unique, node, uid, gid, pid = HEADER.unpack_from(view)
        operation = OPERATIONS.get(opcode)
        if operation is None:
            self._special(opcode, unique, view, nursery)
            return
        if self._only is not None and uid not in (0, self._only) and not operation.is_on_open:
            self._refuse(unique, errno.EACCES)
            return
        request = Request(uid, gid, pid)
        if operation.now is not None:
            try:
                answer = operation.now(self._fs, request, node, view)
            except Exception as error:
                if operation.has_reply:
                    self._refuse(unique, _errno_of(error))
                else:
                    log.exception("bug: opcode %d failed", opcode)
                return
            if answer is not MISS:
                if operation.has_reply:
                    self._send(unique, answer)
                return
        kept = view if operation.keeps_buffer else memoryview(bytes(view))
        pending = Pending(request, unique, operation.ending)
        self._pending[unique] = pending
        nursery.start_soon(self._answer, operation, pending, node, kept)

    def _special(self, opcode: int, unique: int, view: memoryview, nursery: trio.Nursery) -> None:
        """Take what concerns the conversation itself, or what no file here can do."""
        if opcode == Opcode.INIT:
            self._init(unique, view)
        elif opcode == Opcode.INTERRUPT:
            if len(view) >= IN_HEADER + InterruptIn.FIXED:
                nursery.start_soon(self._interrupted, InterruptIn.parse(view).unique)
        elif opcode != Opcode.NOTIFY_REPLY:
            self._refuse(unique, errno.ENOSYS)

    def _init(self, unique: int, view: memoryview) -> None:
        try:
            asked = InitIn.parse(view)
            if asked.major > MAJOR:
                self._send(unique, Answer((other_major(),)))
                return
            self.agreed = agree(asked, self._wishes)
        except (TooOld, WireError) as error:
            self._error = error
            self._refuse(unique, errno.EPROTO)
            return
        log.debug("the kernel offers %r, we take %r", asked, self.agreed.reply)
        self._fs.may_read_exactly(bool(self.agreed.flags & InitFlag.DIRECT_IO_ALLOW_MMAP))
        self._send(unique, Answer((bytes(self.agreed.reply),)))

    async def _answer(
        self, operation: Operation, pending: Pending, node: Node, view: memoryview
    ) -> None:
        """Answer a request that has to wait."""
        request, seconds = pending.request, self._timeout_s * operation.patience.value
        assert operation.wait is not None
        number = 0
        answer = Answer()
        try:
            if operation.changes_if is not None and operation.changes_if(view):
                pending.ending = Ending.CHANGES
            doing = operation.wait(self._fs, request, node, view)
            if operation.ending is Ending.CLOSES and was_killed(request.pid):
                self._leave(pending, 0)
            answer = await bounded(request, doing, seconds)
        except Exception as error:
            number = _errno_of(error)
        except BaseException:
            self._leave(pending, errno.EIO)  # the mount is ending
            raise
        if pending.is_answered:
            if number == 0 and answer.undo is not None:
                answer.undo()
            return
        del self._pending[pending.unique]
        if number:
            self._refuse(pending.unique, number)
        else:
            self._send(pending.unique, answer)

    # Replies

    def _send(self, unique: int, answer: Answer) -> None:
        if not self._write(unique, 0, answer.parts) and answer.undo is not None:
            answer.undo()

    def _refuse(self, unique: int, number: int) -> None:
        # The kernel takes these for an error, and would leave the asker alone with any other.
        self._write(unique, -(number if 0 < number < END_OF_ERRNO else errno.EIO), ())

    def _write(self, unique: int, error: int, parts: Parts) -> bool:
        """Write one reply; whether the kernel took it."""
        if len(parts) >= MOST_PARTS:
            parts = (b"".join(parts),)
        size = OUT_HEADER
        for part in parts:
            size += len(part)
        try:
            os.writev(self.fd, (REPLY.pack(size, error, unique), *parts))
        except OSError as failure:
            if failure.errno not in (*WITHDRAWN, *UNMOUNTED):
                log.error("bug: a reply of %d bytes was refused: %s", size, failure)
                self._refused(unique)
            return False
        return True

    def _refused(self, unique: int) -> None:
        """Fail a request whose reply the kernel did not take, in case it has not done so itself."""
        with contextlib.suppress(OSError):
            os.write(self.fd, REPLY.pack(OUT_HEADER, -errno.EIO, unique))

    def refuse_all(self) -> None:
        """Refuse whatever the kernel still asks: nobody will answer it any more.

        A notice may wait for one of these, and with it the end of the mount.
        """
        for pending in list(self._pending.values()):
            self._leave(pending, errno.EIO)
        while True:
            buffer = self._buffers.free()
            try:
                size = os.readv(self.fd, [buffer])
            except OSError:
                return
            if size < IN_HEADER:
                return
            opcode, unique, *_ = HEADER.unpack_from(buffer)
            if opcode not in UNANSWERED:
                self._refuse(unique, errno.EIO)

    # Interrupts

    async def _interrupted(self, unique: int) -> None:
        """Give up on a request if a signal is there that means it."""
        pending = self._pending.get(unique)
        if pending is None:
            return  # the answer has crossed the interrupt
        signals = signals_of(pending.request.pid)
        match pending.ending:
            case Ending.LOCKS:
                pending.request.interrupt()
            case Ending.WAITS if signals.is_ending:
                pending.request.interrupt()
            case Ending.CHANGES | Ending.CLOSES if signals.is_fatal:
                self._leave(pending, errno.EINTR)
            case Ending.WAITS | Ending.CHANGES | Ending.CLOSES:
                await trio.sleep(ASK_AGAIN_S)
                if self._pending.get(unique) is pending:
                    # The kernel interrupts a request once; this has it do so once more.
                    self._refuse(unique | INTERRUPT_BIT, errno.EAGAIN)

    def _leave(self, pending: Pending, number: int) -> None:
        """Answer who waits no longer, while the work goes on."""
        if self._pending.pop(pending.unique, None) is not None:
            pending.is_answered = True
            if number:
                self._refuse(pending.unique, number)
            else:
                self._write(pending.unique, 0, ())


def _errno_of(error: Exception) -> int:
    """What to answer for an error; a request that makes no sense is the kernel's own fault."""
    if isinstance(error, WireError):
        log.warning("a request from the kernel makes no sense: %s", error)
        return errno.EINVAL
    return errno_of(error)
