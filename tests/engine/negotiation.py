"""A server's answers to NEGOTIATE, right and wrong, for the tests of `smbfs.engine.dialect`."""

from __future__ import annotations

from typing import Any

import pytest

from smbfs.engine.dialect import DIALECTS_FOR, SALT_SIZE, Capabilities, Policy, choose, offer
from smbfs.errors import Refused
from smbfs.wire.contexts import (
    POSIX_GUID,
    EncryptionCapabilities,
    PreauthCapabilities,
    SigningCapabilities,
    pack_negotiate,
)
from smbfs.wire.header import Header
from smbfs.wire.messages import NegotiateResponse

SALT = bytes(range(SALT_SIZE))
GUID = b"g" * 16
ALL_BITS = 0x7F
PREAUTH = (1, bytes(PreauthCapabilities(hash_algorithms=b"\1\0", salt=b"s" * 32)))
GCM = (2, bytes(EncryptionCapabilities(ciphers=b"\2\0")))
GMAC = (8, bytes(SigningCapabilities(signing_algorithms=b"\2\0")))
POSIX = (0x100, POSIX_GUID)
USUAL = (PREAUTH, GCM, GMAC, POSIX)
Contexts = tuple[tuple[int, bytes], ...]


def of(vers: str, **changes: Any) -> Policy:
    return Policy(dialects=DIALECTS_FOR[vers], client_guid=b"c" * 16, **changes)


def answer(
    dialect: int = 0x311,
    contexts: Contexts = USUAL,
    *,
    status: int = 0,
    junk: bytes = b"",
    **changes: Any,
) -> memoryview:
    """The message a server answers with."""
    fields: dict[str, Any] = {
        "security_mode": 1,
        "dialect_revision": dialect,
        "negotiate_context_count": len(contexts),
        "server_guid": b"s" * 16,
        "capabilities": ALL_BITS,
        "max_transact_size": 8 << 20,
        "max_read_size": 8 << 20,
        "max_write_size": 8 << 20,
        "system_time": 7,
        "security_buffer": b"token",
        "contexts": pack_negotiate(contexts) + junk,
    }
    body = NegotiateResponse(**(fields | changes))
    return memoryview(bytes(Header(command=0, status=status, message_id=0)) + bytes(body))


def chosen(policy: Policy, view: memoryview) -> Capabilities:
    return choose(policy, offer(policy, "server", SALT), view)


def refusal(policy: Policy, view: memoryview) -> str:
    with pytest.raises(Refused) as info:
        chosen(policy, view)
    return str(info.value)
