"""Lists of contexts: their alignment, and what a hostile list can and cannot do."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbfs.wire.codec import Structure, WireError
from smbfs.wire.contexts import (
    DURABLE_REQUEST_V2,
    MAXIMAL_ACCESS,
    POSIX_GUID,
    QUERY_ON_DISK_ID,
    REQUEST_LEASE,
    AllocationSize,
    DurableReconnect,
    DurableReconnectV2,
    DurableRequest,
    DurableRequestV2,
    DurableResponse,
    DurableResponseV2,
    LeaseV1,
    LeaseV2,
    MaximalAccessResponse,
    OnDiskIdResponse,
    PosixCreateResponse,
    PosixNegotiate,
    Timewarp,
    create_contexts,
    lease,
    negotiate_contexts,
    pack_create,
    pack_negotiate,
)

KEY = bytes(range(16))
OWNER = bytes.fromhex("0102000000000016 01000000 e8030000")
GROUP = bytes.fromhex("0101000000000016 02000000")
datas = st.binary(max_size=40)


@pytest.mark.parametrize(
    ("cls", "size"),
    [
        (AllocationSize, 8),
        (DurableReconnect, 16),
        (DurableReconnectV2, 36),
        (DurableRequest, 16),
        (DurableRequestV2, 32),
        (DurableResponse, 8),
        (DurableResponseV2, 8),
        (LeaseV1, 32),
        (LeaseV2, 52),
        (MaximalAccessResponse, 8),
        (OnDiskIdResponse, 32),
        (Timewarp, 8),
    ],
)
def test_published_sizes(cls: type[Structure], size: int) -> None:
    """Servers tell versions apart by these lengths."""
    assert size == cls.FIXED


def test_negotiate_list() -> None:
    """Each context 8-aligned, no padding after the last: [MS-SMB2] 2.2.3.1."""
    packed = pack_negotiate([(1, b"abc"), (0x0100, POSIX_GUID[:8]), (5, b"d")])
    assert packed.hex(" ", -8) == (
        "0100030000000000 6162630000000000 0001080000000000 93ad25509cb411e7 0500010000000000 64"
    )


def test_negotiate_list_of_none() -> None:
    """Nothing makes nothing."""
    assert pack_negotiate([]) == b""
    assert list(negotiate_contexts(memoryview(b""))) == []


@given(st.lists(st.tuples(st.integers(0, 65535), datas), max_size=6), st.integers(0, 7))
def test_negotiate_list_comes_back(contexts: list[tuple[int, bytes]], padding: int) -> None:
    """In order, and whether or not a server pads the last."""
    packed = pack_negotiate(contexts)
    packed += bytes(min(padding, -len(packed) % 8))
    found = negotiate_contexts(memoryview(packed))
    assert [(kind, bytes(data)) for kind, data in found] == contexts


@pytest.mark.parametrize("wire", [b"\1", b"\1\0\1\0\0\0\0\0", bytes(8) + b"\1\0\0\0"])
def test_broken_negotiate_list(wire: bytes) -> None:
    """A context that is not all there."""
    with pytest.raises(WireError):
        list(negotiate_contexts(memoryview(wire)))


def test_posix_is_offered_by_its_guid() -> None:
    """That is all there is to say."""
    assert bytes(PosixNegotiate()) == POSIX_GUID


def test_create_list() -> None:
    """Each context 8-aligned, its data too, and what has no data has no offset either."""
    packed = pack_create(
        [(QUERY_ON_DISK_ID, b""), (MAXIMAL_ACCESS, b"12345678"), (POSIX_GUID, b"m")]
    )
    assert packed.hex(" ", -8).split() == [
        *("1800000010000400", "0000000000000000", "5146696400000000"),
        *("2000000010000400", "0000180008000000", "4d78416300000000", "3132333435363738"),
        *("0000000010001000", "0000200001000000", "93ad25509cb411e7", "b42383de968bcd7c", "6d"),
    ]


def test_create_list_of_none() -> None:
    """Nothing makes nothing."""
    assert pack_create([]) == b""
    assert create_contexts(memoryview(b"")) == {}


@given(st.dictionaries(st.binary(min_size=4, max_size=16), datas, max_size=6))
def test_create_list_comes_back(contexts: dict[bytes, bytes]) -> None:
    """Names of any length, data of any length, also none."""
    packed = pack_create(list(contexts.items()))
    found = create_contexts(memoryview(packed))
    assert {name: bytes(data) for name, data in found.items()} == contexts
    at = 0
    while step := int.from_bytes(packed[at : at + 4], "little"):
        assert step % 8 == 0
        at += step


def test_create_context_twice() -> None:
    """The first one counts."""
    packed = pack_create([(MAXIMAL_ACCESS, b"1"), (MAXIMAL_ACCESS, b"2")])
    assert bytes(create_contexts(memoryview(packed))[MAXIMAL_ACCESS]) == b"1"


@pytest.mark.parametrize(
    ("following", "why"),
    [
        (1, "overlap"),
        (15, "overlap"),
        (40, "past the end"),  # exactly the end: nothing follows
        (48, "past the end"),
        (0xFFFFFFF8, "past the end"),
        (32, "truncated"),  # the last eight bytes are no context
    ],
)
def test_broken_create_list(following: int, why: str) -> None:
    """It advances to its end, or it is refused."""
    wire = bytearray(pack_create([(DURABLE_REQUEST_V2, bytes(16))]))
    assert len(wire) == 40
    wire[:4] = following.to_bytes(4, "little")
    with pytest.raises(WireError, match=why):
        create_contexts(memoryview(wire))


@pytest.mark.parametrize(("field", "why"), [(4, "name"), (10, "data")])
def test_create_context_reaches_outside(field: int, why: str) -> None:
    """Neither name nor data may be taken from beyond the list."""
    wire = bytearray(pack_create([(MAXIMAL_ACCESS, b"12345678")]))
    wire[field] = 0xF0
    with pytest.raises(WireError, match=rf"CreateContext\.{why} runs past the end"):
        create_contexts(memoryview(wire))


def test_lease_versions() -> None:
    """Told apart by length, since both have one name."""
    first = LeaseV1(lease_key=KEY, lease_state=7)
    second = LeaseV2(lease_key=KEY, lease_state=3, epoch=2)
    for one in (first, second):
        packed = pack_create([(REQUEST_LEASE, bytes(one))])
        assert lease(create_contexts(memoryview(packed))[REQUEST_LEASE]) == one
    with pytest.raises(WireError, match="LeaseV2 is truncated"):
        lease(memoryview(bytes(33)))


def test_posix_owner_and_group() -> None:
    """Two SIDs of any length, one after the other."""
    wire = bytes(12) + OWNER + GROUP
    parsed = PosixCreateResponse.parse(memoryview(wire))
    assert (bytes(parsed.owner), bytes(parsed.group)) == (OWNER, GROUP)


@pytest.mark.parametrize("size", [0, 1, 7, 15])
def test_posix_without_owner(size: int) -> None:
    """A SID that is not all there."""
    parsed = PosixCreateResponse.parse(memoryview(bytes(12) + OWNER[:size]))
    with pytest.raises(WireError, match="a SID runs past the end"):
        _ = parsed.owner
    with pytest.raises(WireError, match="a SID runs past the end"):
        _ = parsed.group


def test_posix_without_group() -> None:
    """The owner alone may still be read."""
    parsed = PosixCreateResponse.parse(memoryview(bytes(12) + OWNER + GROUP[:-1]))
    assert bytes(parsed.owner) == OWNER
    with pytest.raises(WireError, match="a SID runs past the end"):
        _ = parsed.group


@given(st.binary(max_size=120), st.sampled_from([b"", bytes.fromhex("0000000010000400")]))
def test_random_bytes(data: bytes, start: bytes) -> None:
    """WireError and nothing else, from all that walks a list."""
    view = memoryview(start + data)
    with contextlib.suppress(WireError):
        create_contexts(view)
    with contextlib.suppress(WireError):
        list(negotiate_contexts(view))
    with contextlib.suppress(WireError):
        lease(view)
    with contextlib.suppress(WireError):
        posix = PosixCreateResponse.parse(view)
        assert len(posix.owner) + len(posix.group) <= len(posix.sids)
