"""A tree that needs no server: it records what is asked and answers as it was told.

Without orders it is a server with one file, ``content``.  ``orders[command]`` are answers to give
first, in their order: a status, a structure, bytes for a body, an exception to raise at the wait,
or HOLD, which answers when the test calls `release`.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import SimpleNamespace
from typing import Any, cast

import trio

from smbfs.engine.compound import Manners
from smbfs.engine.exchange import Ask, MessageId, Reply, Slot, TreeId
from smbfs.engine.handle import Handle
from smbfs.engine.link import Link
from smbfs.engine.pace import Pace
from smbfs.engine.session import Tree
from smbfs.engine.share import Share
from smbfs.engine.turns import WindowShrank
from smbfs.errors import ConnectionLost, SmbError
from smbfs.wire import file_messages as files
from smbfs.wire import fscc
from smbfs.wire import query_messages as queries
from smbfs.wire.codec import Structure
from smbfs.wire.constants import CreateAction
from smbfs.wire.directory import FileIdFullDirectoryInformation, pack_entries
from smbfs.wire.header import Command, Header, HeaderFlags
from smbfs.wire.messages import ErrorResponse
from smbfs.wire.status import Status
from smbfs.wire.units import utf16

FILE_ID = bytes(range(16))


class Hold(Enum):
    HOLD = 0


HOLD = Hold.HOLD
Answer = Status | Structure | bytes
Order = Answer | SmbError | Hold


def created(**more: Any) -> files.CreateResponse:
    values: dict[str, Any] = {
        "create_action": CreateAction.OPENED,
        "creation_time": 1,
        "last_access_time": 2,
        "last_write_time": 3,
        "change_time": 4,
        "allocation_size": 4096,
        "end_of_file": 10,
        "file_attributes": 0x20,
        "file_id": FILE_ID,
    }
    return files.CreateResponse(**{**values, **more})


def everything(**more: Any) -> fscc.FileAllInformation:
    values: dict[str, Any] = {
        "creation_time": 1,
        "last_access_time": 2,
        "last_write_time": 3,
        "change_time": 4,
        "file_attributes": 0x20,
        "allocation_size": 4096,
        "end_of_file": 10,
        "number_of_links": 2,
        "index_number": 77,
        "ea_size": 5,
    }
    return fscc.FileAllInformation(**{**values, **more})


def entry(name: str, **more: Any) -> FileIdFullDirectoryInformation:
    values: dict[str, Any] = {
        "creation_time": 1,
        "last_access_time": 2,
        "last_write_time": 3,
        "change_time": 4,
        "end_of_file": 10,
        "allocation_size": 4096,
        "file_attributes": 0x20,
        "file_id": 7,
        "file_name": utf16(name),
    }
    return FileIdFullDirectoryInformation(**{**values, **more})


def page(*names: str) -> queries.QueryDirectoryResponse:
    buffer = pack_entries([entry(name) for name in names])
    return queries.QueryDirectoryResponse(output_buffer=buffer)


def reply_of(command: Command, order: Answer, status: Status = Status.SUCCESS) -> Reply:
    """The answer a server would send; ``status`` is that of one with a body."""
    status = order if isinstance(order, Status) else status
    body = ErrorResponse(error_data=b"") if isinstance(order, Status) else order
    header = Header(
        command=command, status=status, flags=HeaderFlags.RESPONSE, message_id=0, credits=1
    )
    return Reply(header, status, memoryview(bytes(header) + bytes(body)))


@dataclass
class ScriptedTree:
    content: bytearray = field(default_factory=lambda: bytearray(b"0123456789"))
    orders: defaultdict[Command, deque[Order]] = field(default_factory=lambda: defaultdict(deque))
    frames: list[list[Ask]] = field(default_factory=list)
    undone: list[Ask] = field(default_factory=list)  # what was queued without waiting
    abandoned: list[Slot] = field(default_factory=list)
    is_alive: bool = True
    has_credits: bool = True
    largest: int = 504
    late: list[Sequence[Ask]] = field(default_factory=list)  # until there are credits
    shrinks_to: int = 0  # from the next request on
    paces: dict[Command, Pace] = field(default_factory=lambda: defaultdict(Pace))
    seal: bool = False
    is_continuous: bool = False
    most_waiting: int = 0
    waiting: int = 0

    def __post_init__(self) -> None:
        self.capabilities = SimpleNamespace(
            max_read=1 << 20,
            max_write=1 << 20,
            max_transact=1 << 20,
            posix=False,
            leasing=True,
            directory_leasing=False,
        )
        self.session = SimpleNamespace(
            capabilities=self.capabilities, guard=SimpleNamespace(must_seal=False)
        )

    @property
    def as_tree(self) -> Tree:
        return cast(Tree, self)

    def pace(self, command: Command) -> Pace:
        return self.paces[command]

    def order(self, command: Command, *orders: Order) -> None:
        self.orders[command].extend(orders)

    def commands(self) -> list[list[str]]:
        return [[ask.command.name for ask in frame] for frame in self.frames]

    # What `Tree` does

    async def post(self, asks: Sequence[Ask], *, cuttable: bool = False) -> list[Slot]:
        await trio.lowlevel.checkpoint()
        if not self.has_credits:
            await trio.sleep_forever()
        if cuttable and self.shrinks_to:
            self.largest, self.shrinks_to = self.shrinks_to, 0
            raise WindowShrank
        return self._send(asks)

    def post_soon(self, asks: Sequence[Ask]) -> None:
        if self.post_now(asks) is None and self.is_alive:
            self.late.append(asks)

    def post_now(self, asks: Sequence[Ask]) -> list[Slot] | None:
        if not (self.has_credits and self.is_alive):
            return None
        self.undone += asks
        return self._send(asks)

    async def wait(self, slot: Slot) -> Reply:
        self.waiting -= 1
        try:
            if not slot.is_done:
                slot.event = trio.Event()
                await slot.event.wait()
        except trio.Cancelled:
            self.abandon(slot)
            raise
        if slot.error is not None:
            raise slot.error
        assert slot.reply is not None
        return slot.reply

    def abandon(self, slot: Slot) -> None:
        if slot.abandoned:
            return
        slot.abandoned = True
        self.abandoned.append(slot)
        if slot.reply is not None:
            self._undo(slot)

    # How the script is played

    def _send(self, asks: Sequence[Ask]) -> list[Slot]:
        if not self.is_alive:
            raise ConnectionLost("scripted")
        self.frames.append(list(asks))
        slots = []
        for ask in asks:
            slot = Slot(ask, MessageId(0), 1, None, TreeId(0), False, 0.0, 0.0)
            orders = self.orders[ask.command]
            self._answer(slot, orders.popleft() if orders else self._ordinary(ask))
            slots.append(slot)
        self.waiting += len(slots)
        self.most_waiting = max(self.most_waiting, self.waiting)
        return slots

    def _answer(self, slot: Slot, order: Order) -> None:
        if isinstance(order, Hold):
            return
        if isinstance(order, SmbError):
            slot.error = order
        else:
            slot.reply = reply_of(slot.ask.command, order)
        if slot.event is not None:
            slot.event.set()

    def release(self, slot: Slot, order: Order) -> None:
        """Answer what was held."""
        self._answer(slot, order)
        if slot.abandoned:
            self._undo(slot)

    def _undo(self, slot: Slot) -> None:
        if slot.ask.on_late is not None and slot.reply is not None:
            self.post_now(slot.ask.on_late(slot.reply))

    def _ordinary(self, ask: Ask) -> Order:
        match ask.body:
            case files.CreateRequest():
                return created()
            case files.CloseRequest(flags=flags):
                return files.CloseResponse(flags=flags, end_of_file=len(self.content))
            case files.ReadRequest(offset=offset, length=length):
                data = bytes(self.content[offset : offset + length])
                return files.ReadResponse(data=data) if data else Status.END_OF_FILE
            case files.WriteRequest(offset=offset, data=data):
                self.content[offset : offset + len(data)] = data
                return files.WriteResponse(count=len(data))
            case files.FlushRequest():
                return files.FlushResponse()
            case queries.SetInfoRequest():
                return queries.SetInfoResponse()
            case queries.QueryInfoRequest(info_type=1, file_info_class=18):
                return queries.QueryInfoResponse(output_buffer=bytes(everything()))
            case queries.QueryDirectoryRequest():
                return Status.NO_MORE_FILES
            case files.IoctlRequest(ctl_code=code, input=data):
                return files.IoctlResponse(ctl_code=code, file_id=FILE_ID, output=data)
        return self._filesystem(ask)

    def _filesystem(self, ask: Ask) -> Order:
        assert isinstance(ask.body, queries.QueryInfoRequest)
        whole: dict[int, Structure] = {
            1: fscc.FileFsVolumeInformation(
                volume_creation_time=0, volume_serial_number=0xABCD, volume_label=utf16("music")
            ),
            5: fscc.FileFsAttributeInformation(
                file_system_attributes=0x800081,
                maximum_component_name_length=255,
                file_system_name=utf16("NTFS"),
            ),
            7: fscc.FileFsFullSizeInformation(
                total_allocation_units=100,
                caller_available_allocation_units=50,
                actual_available_allocation_units=60,
                sectors_per_allocation_unit=8,
                bytes_per_sector=512,
            ),
        }
        return queries.QueryInfoResponse(output_buffer=bytes(whole[ask.body.file_info_class]))


class ScriptedLink:
    """Hands out its trees, the first one that is alive."""

    def __init__(self, *trees: ScriptedTree) -> None:
        self.trees = list(trees)
        self.target = "//server/share"
        self.waits = False

    @property
    def generation(self) -> int:
        return 1 + sum(not tree.is_alive for tree in self.trees)

    async def tree(self) -> Tree:
        await trio.lowlevel.checkpoint()
        for tree in self.trees:
            if tree.is_alive:
                return tree.as_tree
        raise ConnectionLost("nobody there")


def share_on(*trees: ScriptedTree, prefix: str = "") -> Share:
    return Share(cast(Link, ScriptedLink(*trees)), prefix)


def handle_on(tree: ScriptedTree, path: str = "a.txt") -> Handle:
    return Handle(Manners(), tree.as_tree, FILE_ID, path, action=CreateAction.OPENED, generation=1)
