"""One of every message: our engine talks to a Samba server through a recording relay.

What a mount does not say yet, leases, durable handles, locks, is said here by hand, through the
same engine.  `tests.wire.take_vectors` cuts the stored vectors out of what passes.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

import trio

from smbfs.auth import Login, Secret
from smbfs.engine.dialect import Policy
from smbfs.engine.exchange import Ask, Reply
from smbfs.engine.leasing import Break, acknowledging
from smbfs.engine.link import Link, Target
from smbfs.engine.session import Tree
from smbfs.engine.transport import connect
from smbfs.wire.codec import Structure
from smbfs.wire.constants import Access, Disposition, Oplock, Options, Share
from smbfs.wire.contexts import (
    AllocationSize,
    DurableReconnect,
    DurableReconnectV2,
    DurableRequest,
    DurableRequestV2,
    LeaseV1,
    LeaseV2,
    MaximalAccessRequest,
    PosixCreateRequest,
    Timewarp,
    pack_create,
)
from smbfs.wire.file_messages import (
    CloseRequest,
    CreateRequest,
    CreateResponse,
    FlushRequest,
    IoctlRequest,
    LockElement,
    LockRequest,
    ReadRequest,
    WriteRequest,
)
from smbfs.wire.messages import (
    EchoRequest,
)
from smbfs.wire.query_messages import (
    ChangeNotifyRequest,
    QueryDirectoryRequest,
    QueryInfoRequest,
    SetInfoRequest,
)
from smbfs.wire.units import utf16
from tests.samba import Samba

ALL = Access.FILE_READ_DATA | Access.FILE_WRITE_DATA | Access.DELETE
ALL |= Access.FILE_READ_ATTRIBUTES | Access.FILE_WRITE_ATTRIBUTES | Access.SYNCHRONIZE
ALL |= Access.FILE_READ_EA | Access.FILE_WRITE_EA
# Other clients are let in at once, and oplocks are Samba's own, so that they are granted.
SETTINGS = {"kernel oplocks": "no", "kernel share modes": "no", "posix locking": "no"}
KEY, GUID = bytes(range(16)), bytes(range(16, 32))
READ_WRITE_HANDLE = 7  # every lease there is
RESUME_KEY = 0x00140078  # FSCTL_SRV_REQUEST_RESUME_KEY


class Client:
    """One connection to the share named "share"."""

    def __init__(
        self,
        samba: Samba,
        port: int,
        nursery: trio.Nursery,
        dialect: int,
        *,
        seal: bool = False,
    ) -> None:
        send, self.breaks = trio.open_memory_channel[Break](9)
        self.link = Link(
            Target(samba.host, "share"),
            Policy(dialects=(dialect,), seal=seal, timeout_s=10, client_guid=os.urandom(16)),
            lambda: [Login(samba.user, Secret(samba.password))],
            partial(self._dial, samba.host, port),
            nursery,
        )
        self.link.on_break = send.send_nowait
        self._tree: Tree | None = None

    @staticmethod
    async def _dial(host: str, port: int) -> tuple[trio.abc.Stream, bool]:
        return (await connect(host, port, timeout_s=10)).stream, False

    async def connect(self) -> None:
        """Log in and enter the share."""
        self._tree = await self.link.tree()

    @property
    def tree(self) -> Tree:
        """The share."""
        assert self._tree is not None
        return self._tree

    async def ask(self, body: Structure, receives: int = 0, *, patient: bool = False) -> Reply:
        """Ask one thing; any answer will do."""
        [slot] = await self.tree.post([Ask(body, receives=receives, patient=patient)])
        return await self.tree.wait(slot)

    async def create(self, name: str, **more: int | bytes) -> bytes:
        """Open a file; returns its id, or what stands for none."""
        wanted: dict[str, int | bytes] = {
            "desired_access": ALL,
            "share_access": Share.ALL,
            "create_disposition": Disposition.OPEN_IF,
            "file_attributes": 0x80,
        }
        body: Callable[..., Structure] = CreateRequest
        reply = await self.ask(body(**(wanted | more), name=utf16(name)))
        return bytes(16) if reply.status else bytes(reply.parse(CreateResponse).file_id)

    async def close(self, file_id: bytes) -> None:
        """Close it, asking what became of it."""
        await self.ask(CloseRequest(flags=1, file_id=file_id))

    def lose(self) -> None:
        """Break the connection without a word."""
        stream = self.tree.session.connection._stream
        assert isinstance(stream, trio.SocketStream)
        stream.socket.close()


async def converse(samba: Samba, port: int, dialect: int) -> None:
    """Say everything once."""
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            ours = Client(samba, port, nursery, dialect)
            await ours.connect()
            await _use(ours)
            await _watch(ours)
            await _contexts(ours)
            other = Client(samba, samba.port, nursery, dialect)
            await other.connect()
            await _breaks(ours, other, is_lease=dialect >= 0x0210)
            await _comes_back(ours, Client(samba, port, nursery, dialect), dialect)
            await other.link.close()
            nursery.cancel_scope.cancel()


async def greet_sealed(samba: Samba, port: int) -> None:
    """Come and go, encrypted."""
    async with trio.open_nursery() as nursery:
        ours = Client(samba, port, nursery, 0x0311, seal=True)
        await ours.connect()
        await ours.link.close()
        nursery.cancel_scope.cancel()


async def _use(ours: Client) -> None:
    file_id = await ours.create("a.txt")
    await ours.ask(WriteRequest(offset=5, file_id=file_id, data=b"hello"))
    await ours.ask(ReadRequest(length=100, offset=2, file_id=file_id), 100)
    await ours.ask(FlushRequest(file_id=file_id))
    lock = bytes(LockElement(offset=1, length=9, flags=0x12))  # exclusive, fail at once
    await ours.ask(LockRequest(file_id=file_id, locks=lock))
    await ours.ask(
        SetInfoRequest(info_type=1, file_info_class=20, file_id=file_id, buffer=b"\7" + bytes(7))
    )
    size = 64
    query = {"info_type": 1, "output_buffer_length": size, "file_id": file_id}
    for number, names in ((5, b""), (15, b"\0\0\0\0\5USER\0\0\0")):
        make: Callable[..., Structure] = QueryInfoRequest
        await ours.ask(make(file_info_class=number, input_buffer=names, **query), size)
    await ours.ask(
        IoctlRequest(ctl_code=RESUME_KEY, file_id=file_id, max_output_response=32, flags=1),
        32,
    )
    await ours.close(file_id)
    await ours.create("none", create_disposition=Disposition.OPEN)
    await ours.tree.session.ask(Ask(EchoRequest()))


async def _watch(ours: Client) -> None:
    """A listing, a watch that is told something, and one that is given up."""
    folder = {"create_options": Options.DIRECTORY_FILE, "desired_access": 0x100081}
    root = await ours.create("", **folder)
    for _ in range(2):
        listing = QueryDirectoryRequest(
            file_information_class=37,
            file_id=root,
            file_name=utf16("a*"),
            output_buffer_length=4096,
        )
        await ours.ask(listing, 4096)
    notify = ChangeNotifyRequest(output_buffer_length=1024, file_id=root, completion_filter=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(ours.ask, notify, 1024, patient=True))
        await trio.sleep(0.1)
        await ours.close(await ours.create("b.txt", create_options=Options.DELETE_ON_CLOSE))
    await ours.close(root)
    quiet = await ours.create("quiet", **folder)
    notify = ChangeNotifyRequest(output_buffer_length=1024, file_id=quiet, completion_filter=1)
    with trio.move_on_after(0.2):
        await ours.ask(notify, 1024, patient=True)
    await trio.sleep(0.1)
    await ours.close(quiet)


async def _contexts(ours: Client) -> None:
    """What can be asked for along with a CREATE, and is answered or not."""
    asked = [
        (b"MxAc", bytes(MaximalAccessRequest(timestamp=0))),
        (b"QFid", b""),
        (b"AlSi", bytes(AllocationSize(allocation_size=1 << 20))),
        (b"\x93\xad%P\x9c\xb4\x11\xe7\xb4#\x83\xde\x96\x8b\xcd|", bytes(PosixCreateRequest())),
    ]
    await ours.close(await ours.create("c.txt", contexts=pack_create(asked)))
    warp = pack_create([(b"TWrp", bytes(Timewarp(timestamp=0x01D9_0000_0000_0000)))])
    await ours.create("a.txt", create_disposition=Disposition.OPEN, contexts=warp)


async def _breaks(ours: Client, other: Client, *, is_lease: bool) -> None:
    """A lease and an oplock, each broken by another client and acknowledged."""
    for kind in ("lease", "oplock") if is_lease else ("oplock",):
        contexts, level = b"", Oplock.BATCH
        if kind == "lease":
            lease = LeaseV1(lease_key=KEY, lease_state=READ_WRITE_HANDLE)
            contexts, level = pack_create([(b"RqLs", bytes(lease))]), Oplock.LEASE
        file_id = await ours.create("d.txt", requested_oplock_level=level, contexts=contexts)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_open_and_close, other)
            broken = await ours.breaks.receive()
            await ours.ask(acknowledging(broken, broken.left).body)
        await ours.close(file_id)


async def _open_and_close(other: Client) -> None:
    await other.close(await other.create("d.txt"))


async def _comes_back(ours: Client, again: Client, dialect: int) -> None:
    """A durable handle, lost with its connection and found again."""
    contexts: list[tuple[bytes, bytes]]
    if dialect >= 0x0300:
        lease = LeaseV2(lease_key=KEY, lease_state=READ_WRITE_HANDLE, epoch=1)
        durable: Structure = DurableRequestV2(timeout=30000, create_guid=GUID)
        contexts = [(b"RqLs", bytes(lease)), (b"DH2Q", bytes(durable))]
    else:
        contexts = [(b"DHnQ", bytes(DurableRequest()))]
    level = Oplock.LEASE if dialect >= 0x0300 else Oplock.BATCH
    packed = pack_create(contexts)
    file_id = await ours.create("e.txt", requested_oplock_level=level, contexts=packed)
    ours.lose()
    again.link.policy = ours.link.policy
    await trio.sleep(0.3)
    await again.connect()
    if dialect >= 0x0300:
        found: Structure = DurableReconnectV2(file_id=file_id, create_guid=GUID)
        contexts = [contexts[0], (b"DH2C", bytes(found))]
    else:
        contexts = [(b"DHnC", bytes(DurableReconnect(file_id=file_id)))]
    packed = pack_create(contexts)
    file_id = await again.create(
        "e.txt",
        requested_oplock_level=level,
        create_disposition=Disposition.OPEN,
        contexts=packed,
    )
    if file_id != bytes(16):
        await again.close(file_id)
    await again.link.close()
