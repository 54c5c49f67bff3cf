"""An SMB2 server in memory: real frames over any trio stream, real keys, files that are not there.

It is built on the classes of `smbfs.wire` and `smbfs.crypto`, and on none of the engine's logic:
what the two agree on is the specification.  It judges its client too: an id out of order, a
credit spent that was not granted or a wrong signature is a line in ``violations``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import trio
import trio.testing

from smbfs.engine.greeting import Dial
from smbfs.wire.constants import BreakFlags, Oplock
from smbfs.wire.header import BREAK_MESSAGE_ID, Command, Header, HeaderFlags
from smbfs.wire.messages import LeaseBreakNotification, OplockBreakNotification
from smbfs.wire.status import Status
from tests.fake.login import Nature, Session
from tests.fake.messages import framed
from tests.fake.script import BadDay, Starves
from tests.fake.tree import Node, Open, Volume
from tests.fake.wire import Wire


class FakeServer:
    """Shares, sessions and opens; one `Wire` for each connection.

    ``script`` may be changed at any time.  ``requests`` lists the commands of each frame that
    came, so its length is the number of turnarounds; clear it to count from there.
    """

    def __init__(
        self,
        *volumes: Volume,
        nature: Nature | None = None,
        script: Iterable[BadDay] = (),
    ) -> None:
        self.nature = nature or Nature()
        self.volumes = {one.name.casefold(): one for one in volumes or (Volume(),)}
        self.script = list(script)
        self.denied: set[str] = set()  # shares that let nobody in
        self.sessions: dict[int, Session] = {}
        self.opens: dict[bytes, Open] = {}
        self.wires: list[Wire] = []
        self.requests: list[tuple[Command, ...]] = []
        self.violations: list[str] = []
        self.acknowledged: list[bytes] = []  # lease keys whose break was acknowledged
        self.cancelled: list[int] = []  # message ids that a CANCEL named
        self.flushed = 0
        self.dialled = 0
        self.session_ids = itertools.count(0x5E55_0000_0001)
        self.tree_ids = itertools.count(7)
        self.async_ids = itertools.count(0xA5_0000_0001)
        self.file_ids = (
            (number << 64 | ~number & 0xFFFFFFFF).to_bytes(16, "little")
            for number in itertools.count(1)
        )
        self.refuses_to_connect: OSError | None = None

    # What a test looks at

    @property
    def volume(self) -> Volume:
        """The first share."""
        return next(iter(self.volumes.values()))

    @property
    def open_handles(self) -> list[Open]:
        """What is open now."""
        return list(self.opens.values())

    @property
    def turnarounds(self) -> int:
        """How many frames with requests came."""
        return len(self.requests)

    @property
    def window(self) -> int:
        """How many credits a client may have."""
        starving = [day.credits for day in self.script if isinstance(day, Starves)]
        return min([self.nature.max_credits, *starving])

    # Connections

    def dialler(self, nursery: trio.Nursery) -> Dial:
        """What an engine calls to be connected: each call is a new connection."""

        async def dial() -> tuple[trio.abc.Stream, bool]:
            await trio.lowlevel.checkpoint()
            self.dialled += 1
            if self.refuses_to_connect is not None:
                raise self.refuses_to_connect
            ours, theirs = trio.testing.memory_stream_pair()
            self.accept(ours, nursery)
            return theirs, False

        return dial

    def accept(self, stream: trio.abc.Stream, nursery: trio.Nursery) -> Wire:
        """Serve one stream until it ends."""
        wire = Wire(self, stream)
        self.wires.append(wire)
        nursery.start_soon(wire.run)
        return wire

    def hang_up(self) -> None:
        """End all connections."""
        for wire in list(self.wires):
            wire.hang_up()

    def gone(self, wire: Wire) -> None:
        """A connection ended, and its sessions with it; durable opens are kept for a while."""
        self.wires.remove(wire)
        for session_id in wire.sessions:
            for open_ in self.open_handles:
                if open_.session_id == session_id and open_.guid is not None:
                    open_.session_id = 0
            self.forget_session(session_id)

    # Sessions and opens

    def forget_session(self, session_id: int) -> None:
        """End a session: its opens are closed."""
        self.sessions.pop(session_id, None)
        for open_ in self.open_handles:
            if open_.session_id == session_id:
                self.close(open_)

    def forget_kept(self) -> None:
        """Close what is kept for clients whose connection was lost, as a restart would."""
        for open_ in self.open_handles:
            if not open_.session_id:
                self.close(open_)

    def close(self, open_: Open) -> None:
        """End an open."""
        del self.opens[open_.file_id]
        open_.close()
        for wire in self.wires:
            wire.closed(open_)
        self.retry_parked(Command.LOCK)

    def retry_parked(self, command: Command) -> None:
        """Look again whether what had to wait can be done."""
        for wire in self.wires:
            wire.retry(command)

    # Breaks

    def break_oplock(self, path: str, level: int = Oplock.NONE) -> None:
        """Break the oplocks on a file."""
        for open_ in self._opens_of(self.volume.node(path)):
            body = OplockBreakNotification(oplock_level=level, file_id=open_.file_id)
            self.unsolicited(bytes(body))

    def break_lease(
        self, key: bytes, new: int = 0, *, current: int = 7, epoch: int = 2, ack: bool = True
    ) -> None:
        """Break a lease, whether anybody holds it or not."""
        body = LeaseBreakNotification(
            new_epoch=epoch,
            flags=BreakFlags.ACK_REQUIRED if ack else 0,
            lease_key=key,
            current_lease_state=current,
            new_lease_state=new,
        )
        self.unsolicited(bytes(body))

    def _opens_of(self, node: Node) -> Sequence[Open]:
        return [open_ for open_ in node.opens if open_.oplock]

    def unsolicited(self, body: bytes, *, command: int = Command.OPLOCK_BREAK) -> None:
        """Send everybody what nobody asked for."""
        header = Header(command=command, flags=HeaderFlags.RESPONSE, message_id=BREAK_MESSAGE_ID)
        for wire in self.wires:
            wire.outbox.write(framed([bytes(header) + body], None))

    def unasked(self, message_id: int, status: Status = Status.SUCCESS) -> None:
        """Answer an ECHO that was never sent."""
        header = Header(
            command=Command.ECHO,
            flags=HeaderFlags.RESPONSE,
            message_id=message_id,
            status=status,
        )
        for wire in self.wires:
            wire.outbox.write(framed([bytes(header) + b"\4\0\0\0"], None))
