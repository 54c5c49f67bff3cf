"""Open files that the server keeps for us when the connection is lost: asked for, and claimed back.

Pure.  Two versions ([MS-SMB2] 2.2.13.2.3 to 2.2.13.2.12): the second, from dialect 3.0 on, names
the open by a GUID of ours, so that nobody else can claim it, and may be persistent, which outlives
the server itself.

Easily broken: it is promised only with a batch oplock or a lease that keeps handles; and a claim
carries the context of the lease again, with the same key, and no other request for durability.
"""

from __future__ import annotations

from dataclasses import dataclass

from smbfs.engine.dialect import Capabilities
from smbfs.wire.codec import WireError
from smbfs.wire.contexts import (
    DURABLE_FLAG_PERSISTENT,
    DURABLE_RECONNECT,
    DURABLE_RECONNECT_V2,
    DURABLE_REQUEST,
    DURABLE_REQUEST_V2,
    DurableReconnect,
    DurableReconnectV2,
    DurableRequest,
    DurableRequestV2,
    DurableResponseV2,
    create_contexts,
)
from smbfs.wire.file_messages import CreateResponse

_30 = 0x0300
Contexts = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Durable:
    """What the server promised of one open: to keep it; ``guid`` is empty in the first version."""

    guid: bytes = b""
    is_persistent: bool = False


def requesting(
    guid: bytes, capabilities: Capabilities, *, timeout_ms: int = 0, persistent: bool = False
) -> Contexts:
    """The contexts that ask the server to keep an open; ``guid`` is 16 random bytes.

    ``timeout_ms`` is for how long, which the first version does not tell; 0: as the server likes.
    """
    if capabilities.dialect < _30:
        return ((DURABLE_REQUEST, bytes(DurableRequest())),)
    flags = DURABLE_FLAG_PERSISTENT if persistent else 0
    data = DurableRequestV2(timeout=timeout_ms, flags=flags, create_guid=guid)
    return ((DURABLE_REQUEST_V2, bytes(data)),)


def promised(opened: CreateResponse, guid: bytes) -> Durable | None:
    """What the answer to a CREATE promises; None for nothing, or for what makes no sense."""
    if not guid:
        return None
    try:
        contexts = create_contexts(memoryview(opened.contexts))
        if (data := contexts.get(DURABLE_REQUEST_V2)) is not None:
            told = DurableResponseV2.parse(data, 0)
            return Durable(guid, bool(told.flags & DURABLE_FLAG_PERSISTENT))
    except WireError:
        return None
    return Durable() if DURABLE_REQUEST in contexts else None


def reclaiming(durable: Durable, file_id: bytes) -> Contexts:
    """The contexts that claim an open back, by the id that it had ([MS-SMB2] 3.2.4.4)."""
    if not durable.guid:
        return ((DURABLE_RECONNECT, bytes(DurableReconnect(file_id=file_id))),)
    flags = DURABLE_FLAG_PERSISTENT if durable.is_persistent else 0
    data = DurableReconnectV2(file_id=file_id, create_guid=durable.guid, flags=flags)
    return ((DURABLE_RECONNECT_V2, bytes(data)),)
