"""Leases and oplocks on the wire: asked for, granted, broken, acknowledged."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbfs.engine.dialect import Capabilities
from smbfs.engine.leasing import Break, Wish, acknowledging, asking, granted, read_break
from smbfs.wire.codec import WireError
from smbfs.wire.constants import LeaseFlags, Oplock
from smbfs.wire.contexts import REQUEST_LEASE, LeaseV1, LeaseV2, lease, pack_create
from smbfs.wire.file_messages import CreateResponse
from smbfs.wire.header import Command, Header
from smbfs.wire.messages import (
    LeaseBreakAcknowledgment,
    LeaseBreakNotification,
    OplockBreakAcknowledgment,
    OplockBreakNotification,
)

R, RH, RWH = 1, 3, 7
KEY, PARENT = b"k" * 16, b"p" * 16
NEW = Capabilities(
    dialect=0x0311,
    server_guid=bytes(16),
    security_mode=0,
    capabilities=0,
    max_transact=65536,
    max_read=65536,
    max_write=65536,
    cipher=0,
    signing_algorithm=0,
    signing_required=False,
    posix=False,
    large_mtu=True,
    leasing=True,
    directory_leasing=False,
    system_time=0,
    security_blob=b"",
)
OLD, OLDEST = replace(NEW, dialect=0x0210), replace(NEW, dialect=0x0202, leasing=False)


def opened(level: int, data: bytes = b"") -> CreateResponse:
    contexts = pack_create([(REQUEST_LEASE, data)]) if data else b""
    times = dict.fromkeys(
        ("creation_time", "last_access_time", "last_write_time", "change_time"), 0
    )
    return CreateResponse(
        oplock_level=level,
        create_action=1,
        allocation_size=0,
        end_of_file=0,
        file_attributes=0,
        file_id=b"f" * 16,
        contexts=contexts,
        **times,
    )


def message(body: bytes) -> memoryview:
    return memoryview(bytes(Header(command=Command.OPLOCK_BREAK, message_id=0)) + body)


def test_a_lease_is_asked_for_as_the_dialect_has_it() -> None:
    level, [(name, data)] = asking(Wish(KEY, RH, 4, PARENT), NEW)
    told = lease(memoryview(data))
    assert (level, name) == (Oplock.LEASE, REQUEST_LEASE)
    assert isinstance(told, LeaseV2)
    assert (told.lease_state, told.epoch, told.parent_lease_key) == (RH, 4, PARENT)
    assert told.lease_flags == LeaseFlags.PARENT_LEASE_KEY_SET
    _, [(_, data)] = asking(Wish(KEY, RWH), OLD)
    assert isinstance(lease(memoryview(data)), LeaseV1)
    assert asking(Wish(KEY, RWH), OLDEST) == (Oplock.BATCH, ())
    assert asking(Wish(KEY, RH), OLDEST) == (Oplock.LEVEL_II, ())


def test_what_is_granted() -> None:
    wish = Wish(KEY, RWH)
    grant = granted(
        opened(Oplock.LEASE, bytes(LeaseV2(lease_key=KEY, lease_state=RH, epoch=9))), wish
    )
    assert grant is not None
    assert (grant.state, grant.epoch, grant.has_epoch, grant.is_oplock) == (RH, 9, True, False)
    grant = granted(opened(Oplock.LEASE, bytes(LeaseV1(lease_key=KEY, lease_state=RWH))), wish)
    assert grant is not None
    assert (grant.state, grant.has_epoch) == (RWH, False)
    assert granted(opened(Oplock.NONE), wish) is None
    assert granted(opened(Oplock.LEASE), wish) is None


@pytest.mark.parametrize(
    ("level", "state"), [(Oplock.BATCH, RWH), (Oplock.EXCLUSIVE, 5), (Oplock.LEVEL_II, R)]
)
def test_an_oplock_is_a_lease_of_one_handle(level: int, state: int) -> None:
    grant = granted(opened(level), Wish(KEY, RWH))
    assert grant is not None
    assert (grant.key, grant.state, grant.is_oplock) == (b"f" * 16, state, True)


def test_more_than_was_asked_for_is_not_kept() -> None:
    grant = granted(
        opened(Oplock.LEASE, bytes(LeaseV2(lease_key=KEY, lease_state=RWH))), Wish(KEY, RH)
    )
    assert grant is not None
    assert grant.state == RH


@pytest.mark.parametrize("state", [2, 4, 6, 255])
def test_states_that_do_not_exist_are_none(state: int) -> None:
    grant = granted(
        opened(Oplock.LEASE, bytes(LeaseV2(lease_key=KEY, lease_state=state))), Wish(KEY, RWH)
    )
    assert grant is not None
    assert grant.state == 0


def test_a_lease_that_is_being_broken_is_no_news() -> None:
    data = bytes(
        LeaseV2(lease_key=KEY, lease_state=RWH, lease_flags=LeaseFlags.BREAK_IN_PROGRESS, epoch=3)
    )
    grant = granted(opened(Oplock.LEASE, data), Wish(KEY, RWH))
    assert grant is not None
    assert (grant.state, grant.is_breaking) == (0, True)


def test_another_key_is_nonsense() -> None:
    with pytest.raises(WireError):
        granted(
            opened(Oplock.LEASE, bytes(LeaseV2(lease_key=PARENT, lease_state=RH))), Wish(KEY, RH)
        )


def test_breaks_are_read() -> None:
    body = LeaseBreakNotification(
        new_epoch=5, flags=1, lease_key=KEY, current_lease_state=RWH, new_lease_state=RH
    )
    assert read_break(message(bytes(body))) == Break(KEY, RH, 5, must_ack=True)
    oplock = OplockBreakNotification(oplock_level=Oplock.LEVEL_II, file_id=KEY)
    assert read_break(message(bytes(oplock))) == Break(KEY, R, must_ack=True, is_oplock=True)


@given(st.binary(max_size=80))
def test_a_break_is_read_or_is_nonsense(body: bytes) -> None:
    try:
        broken = read_break(message(body))
    except WireError:
        return
    assert broken.left in (0, R, RH, 5, RWH)


def test_acknowledgements() -> None:
    ask = acknowledging(Break(KEY, RH, 5, must_ack=True), R)
    assert ask.urgent
    assert isinstance(ask.body, LeaseBreakAcknowledgment)
    assert (ask.body.lease_key, ask.body.lease_state) == (KEY, R)
    for state, level in ((R, Oplock.LEVEL_II), (0, Oplock.NONE)):
        body = acknowledging(Break(KEY, R, is_oplock=True), state).body
        assert isinstance(body, OplockBreakAcknowledgment)
        assert (body.file_id, body.oplock_level) == (KEY, level)
