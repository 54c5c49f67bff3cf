"""An `Exchange` and both sides' messages, made by hand."""

from __future__ import annotations

from smbfs.crypto import Sealer, Signer
from smbfs.engine.credits import Credits
from smbfs.engine.exchange import Ask, Exchange, Guard, Outcome, SessionId, Slot, TreeId
from smbfs.wire.constants import Cipher
from smbfs.wire.file_messages import ReadRequest
from smbfs.wire.header import Command, Header, HeaderFlags
from smbfs.wire.messages import EchoResponse

FILE_ID = bytes(range(16))
SESSION, TREE = SessionId(0x1234), TreeId(7)
KEY, C2S, S2C = b"k" * 16, b"c" * 16, b"s" * 16


def exchange(*, large_mtu: bool = False) -> Exchange:
    credits = Credits(512)
    credits.grant(511, 0)
    return Exchange(credits, limit=1 << 20, timeout_s=15.0, charges=large_mtu, large_mtu=large_mtu)


def sealed_guard(signer: Signer | None = None) -> Guard:
    return Guard(SESSION, signer, Sealer(Cipher.AES_128_GCM, C2S, S2C, SESSION), must_seal=True)


def server_sealer() -> Sealer:
    return Sealer(Cipher.AES_128_GCM, S2C, C2S, SESSION)


def submit(
    one: Exchange, *asks: Ask, guard: Guard | None = None, **more: bool
) -> tuple[memoryview, list[Slot]]:
    """Take credits, make a frame; the frame without its length."""
    assert one.credits.take_now(one.cost(asks))
    parts, slots = one.submit(
        asks, guard=guard, tree_id=TREE, seal=more.pop("seal", False), now=100.0, **more
    )
    whole = b"".join(parts)
    assert int.from_bytes(whole[:4], "big") == len(whole) - 4
    return memoryview(whole)[4:], slots


def answer(
    message_id: int,
    command: int = Command.ECHO,
    *,
    signer: Signer | None = None,
    body: bytes = bytes(EchoResponse()),
    **more: int,
) -> bytes:
    more.setdefault("flags", HeaderFlags.RESPONSE)
    more["flags"] |= HeaderFlags.SIGNED if signer is not None else 0
    header = Header(command=command, message_id=message_id, **more)  # type: ignore[arg-type]  # all but the signature are numbers
    if signer is not None:
        header.signature = signer.sign(
            [bytes(header), body], message_id=message_id, from_server=True, is_cancel=False
        )
    return bytes(header) + body


def chained(*messages: bytes) -> bytes:
    """Messages as one chain, unsigned."""
    whole = b""
    for message in messages[:-1]:
        padded = message + bytes(-len(message) % 8)
        whole += padded[:20] + len(padded).to_bytes(4, "little") + padded[24:]
    return whole + messages[-1]


def arrive(one: Exchange, frame: bytes, *guards: Guard, now: float = 101.0) -> list[Outcome]:
    known = {guard.session_id: guard for guard in guards}
    return list(one.arrive(memoryview(frame), known, now))


def read(size: int = 100) -> Ask:
    return Ask(ReadRequest(length=size, offset=0, file_id=FILE_ID), receives=size)
