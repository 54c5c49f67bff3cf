"""What is asked, promised and claimed of opens that outlive their connection."""

from __future__ import annotations

import pytest

from smbfs.engine.dialect import Capabilities
from smbfs.engine.durable import Durable, promised, reclaiming, requesting
from smbfs.wire.contexts import (
    DURABLE_FLAG_PERSISTENT,
    DurableReconnect,
    DurableReconnectV2,
    DurableRequestV2,
    DurableResponse,
    DurableResponseV2,
    pack_create,
)
from smbfs.wire.file_messages import CreateResponse
from tests.engine.negotiation import answer, chosen, of

GUID, FILE_ID = b"g" * 16, b"f" * 16


def capabilities(dialect: int) -> Capabilities:
    return chosen(of("default"), answer(dialect, ()))


def opened(*contexts: tuple[bytes, bytes]) -> CreateResponse:
    return CreateResponse(
        oplock_level=0,
        create_action=0,
        creation_time=0,
        last_access_time=0,
        last_write_time=0,
        change_time=0,
        allocation_size=0,
        end_of_file=0,
        file_attributes=0,
        file_id=FILE_ID,
        contexts=pack_create(contexts),
    )


@pytest.mark.parametrize("persistent", [False, True])
def test_from_3_0_on_it_has_a_name(persistent: bool) -> None:
    [(name, data)] = requesting(GUID, capabilities(0x0300), persistent=persistent)
    asked = DurableRequestV2.parse(memoryview(data), 0)
    assert name == b"DH2Q"
    assert bytes(asked.create_guid) == GUID
    assert asked.timeout == 0, "the server decides"
    assert bool(asked.flags & DURABLE_FLAG_PERSISTENT) == persistent


def test_before_it_has_none() -> None:
    [(name, data)] = requesting(GUID, capabilities(0x0210), persistent=True)
    assert (name, data) == (b"DHnQ", bytes(16))


def test_a_promise_is_what_the_server_says() -> None:
    second = bytes(DurableResponseV2(timeout=1))
    persistent = bytes(DurableResponseV2(timeout=1, flags=DURABLE_FLAG_PERSISTENT))
    assert promised(opened(), GUID) is None
    assert promised(opened((b"DH2Q", second)), b"") is None, "nobody asked"
    assert promised(opened((b"DH2Q", second)), GUID) == Durable(GUID)
    assert promised(opened((b"DH2Q", persistent)), GUID) == Durable(GUID, is_persistent=True)
    assert promised(opened((b"DHnQ", bytes(DurableResponse()))), GUID) == Durable()


def test_nonsense_promises_nothing() -> None:
    assert promised(opened((b"DH2Q", b"x")), GUID) is None


def test_a_claim_names_the_open() -> None:
    [(name, data)] = reclaiming(Durable(GUID, is_persistent=True), FILE_ID)
    claim = DurableReconnectV2.parse(memoryview(data), 0)
    assert (name, bytes(claim.file_id), bytes(claim.create_guid)) == (b"DH2C", FILE_ID, GUID)
    assert claim.flags == DURABLE_FLAG_PERSISTENT
    [(name, data)] = reclaiming(Durable(), FILE_ID)
    assert name == b"DHnC"
    assert bytes(DurableReconnect.parse(memoryview(data), 0).file_id) == FILE_ID
