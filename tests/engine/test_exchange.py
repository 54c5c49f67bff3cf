"""Asks become frames and frames outcomes, without a socket and without a clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbfs.crypto import GmacSigner, HmacSigner
from smbfs.engine.exchange import Ask, Broken, Finished, Guard, Late
from smbfs.errors import ConnectionLost, ServerSilent, Tampered
from smbfs.wire.codec import WireError
from smbfs.wire.file_messages import CloseRequest, WriteRequest
from smbfs.wire.header import BREAK_MESSAGE_ID, Command, Header, HeaderFlags, split_chain
from smbfs.wire.messages import CancelRequest, EchoRequest, EchoResponse, ErrorResponse
from smbfs.wire.status import Status
from tests.engine.by_hand import (
    FILE_ID,
    KEY,
    SESSION,
    TREE,
    answer,
    arrive,
    chained,
    exchange,
    read,
    sealed_guard,
    server_sealer,
    submit,
)

# Asks to frames


def test_ids_have_no_holes() -> None:
    one = exchange(large_mtu=True)
    asks = [Ask(EchoRequest()), read(65536), read(65537), read(1 << 20), Ask(EchoRequest())]
    _, slots = submit(one, *asks)
    assert [slot.charge for slot in slots] == [1, 1, 2, 16, 1]
    assert [slot.message_id for slot in slots] == [0, 1, 2, 4, 20]
    assert one.next_id == 21


@given(st.lists(st.lists(st.integers(0, 1 << 20), min_size=1, max_size=5), max_size=20))
def test_the_next_id_follows_from_the_charges(frames: list[list[int]]) -> None:
    one = exchange(large_mtu=True)
    expected = 0
    for sizes in frames:
        asks = [read(size) for size in sizes]
        one.credits.grant(one.cost(asks), 0)
        frame, slots = submit(one, *asks)
        for slot, view in zip(slots, split_chain(frame), strict=True):
            header = Header.parse(view)
            assert slot.message_id == header.message_id == expected
            expected += header.credit_charge


def test_without_large_mtu_everything_costs_one() -> None:
    one = exchange()
    frame, [slot] = submit(one, read(1 << 20))
    assert slot.charge == 1
    assert Header.parse(frame).credit_charge == 0


def test_what_is_sent_costs_as_what_is_received() -> None:
    one = exchange(large_mtu=True)
    data = bytes(65537)
    _, [slot] = submit(one, Ask(WriteRequest(offset=0, file_id=FILE_ID, data=data)))
    assert slot.charge == 2


def test_a_chain_is_related_aligned_and_signed_one_by_one() -> None:
    one, signer = exchange(), HmacSigner(KEY)
    frame, slots = submit(
        one,
        read(),
        Ask(EchoRequest()),
        Ask(CloseRequest(file_id=FILE_ID)),
        guard=Guard(SESSION, signer),
    )
    views = split_chain(frame)
    headers = [Header.parse(view) for view in views]
    related = HeaderFlags.RELATED
    assert [header.flags & related for header in headers] == [0, related, related]
    assert [header.next_command % 8 for header in headers] == [0, 0, 0]
    assert headers[-1].next_command == 0
    assert {(header.tree_id, header.session_id) for header in headers} == {(TREE, SESSION)}
    for header, view in zip(headers, views, strict=True):
        assert signer.verify(
            [view[:48], bytes(16), view[64:]],
            header.signature,
            message_id=header.message_id,
            is_cancel=False,
            from_server=False,
        )
    assert len(slots) == 3


def test_an_unrelated_chain_and_a_record_for_the_preauth_hash() -> None:
    frame, slots = submit(
        exchange(), Ask(EchoRequest()), Ask(EchoRequest()), related=False, record=True
    )
    views = split_chain(frame)
    assert [Header.parse(view).flags for view in views] == [0, 0]
    assert [slot.sent for slot in slots] == views


@pytest.mark.parametrize("must_seal", [True, False])
def test_a_sealed_frame_holds_the_whole_chain_unsigned(must_seal: bool) -> None:
    guard = sealed_guard(HmacSigner(KEY))
    guard.must_seal = must_seal
    frame, slots = submit(exchange(), read(), read(), guard=guard, seal=not must_seal)
    views = split_chain(server_sealer().open(frame))
    assert [Header.parse(view).flags & HeaderFlags.SIGNED for view in views] == [0, 0]
    assert all(slot.sealed for slot in slots)


def test_no_keys_no_seal() -> None:
    frame, [slot] = submit(exchange(), read(), guard=Guard(SESSION), seal=True)
    assert frame[:4] == b"\xfeSMB"
    assert not slot.sealed


def test_deadlines() -> None:
    one = exchange()
    _, [hasty, patient] = submit(one, read(), Ask(EchoRequest(), patient=True))
    assert one.expired(114.9) == []
    assert one.expired(115.0) == [hasty]
    hasty.abandoned = True
    assert one.expired(1e9) == [hasty], "the answer is owed all the same"
    hasty.error = ServerSilent("given up")
    assert one.expired(1e9) == []
    assert patient.deadline == float("inf")


# Cancel


@pytest.mark.parametrize("async_id", [0, 0x5_0000_0003])
def test_a_cancel_names_what_it_cancels(async_id: int) -> None:
    one, signer = exchange(), GmacSigner(KEY)
    _, [slot] = submit(one, read(), guard=Guard(SESSION, signer))
    slot.async_id = async_id
    before = one.next_id
    frame = memoryview(b"".join(one.cancel(slot)))[4:]
    header = Header.parse(frame)
    CancelRequest.parse(frame)
    assert one.next_id == before  # it has no id of its own, and costs nothing
    assert (header.command, header.message_id) == (Command.CANCEL, slot.message_id)
    assert header.credit_charge == 0
    if async_id:
        assert header.flags & HeaderFlags.ASYNC
        assert header.async_id == async_id
    else:
        assert header.tree_id == TREE
    assert signer.verify(
        [frame[:48], bytes(16), frame[64:]],
        header.signature,
        message_id=header.message_id,
        is_cancel=True,
        from_server=False,
    )


def test_a_cancel_of_what_was_sealed_is_sealed() -> None:
    one, guard = exchange(), sealed_guard(HmacSigner(KEY))
    _, [slot] = submit(one, read(), guard=guard)
    frame = memoryview(b"".join(one.cancel(slot)))[4:]
    header = Header.parse(server_sealer().open(frame))
    assert header.command == Command.CANCEL
    assert not header.flags & HeaderFlags.SIGNED


def test_a_cancel_without_a_session() -> None:
    one = exchange()
    _, [slot] = submit(one, Ask(EchoRequest()))
    assert Header.parse(memoryview(b"".join(one.cancel(slot)))[4:]).session_id == 0


# Frames to outcomes


def test_an_answer_finishes_its_slot_and_brings_credits() -> None:
    one = exchange()
    _, [slot] = submit(one, Ask(EchoRequest()))
    had = one.credits.available
    [outcome] = arrive(one, answer(0, credits=3))
    assert isinstance(outcome, Finished)
    assert outcome.slot is slot
    assert slot.is_done
    assert slot.reply is not None
    assert slot.reply.status == Status.SUCCESS
    assert not slot.reply.is_proven
    assert slot.reply.parse(EchoResponse) == EchoResponse()
    assert one.credits.available == had + 3
    assert one.outstanding == {}


def test_answers_in_any_order_and_in_one_frame() -> None:
    one = exchange()
    _, slots = submit(one, *[Ask(EchoRequest())] * 3)
    outcomes = arrive(one, chained(answer(2), answer(0), answer(1)))
    finished = [outcome.slot for outcome in outcomes if isinstance(outcome, Finished)]
    assert finished == [slots[2], slots[0], slots[1]]


def test_what_came_before_nonsense_is_told_first() -> None:
    """Else its waiter would wait for ever: it is outstanding no more."""
    one = exchange()
    _, slots = submit(one, *[Ask(EchoRequest())] * 2)
    outcomes = one.arrive(memoryview(chained(answer(0), answer(77))), {}, 101.0)
    first = next(outcomes)
    assert isinstance(first, Finished)
    assert first.slot is slots[0]
    with pytest.raises(WireError, match="never sent"):
        next(outcomes)


def test_a_late_answer_is_told_as_such() -> None:
    one = exchange()
    _, [slot] = submit(one, Ask(EchoRequest()))
    slot.abandoned = True
    [outcome] = arrive(one, answer(0, credits=1))
    assert isinstance(outcome, Late)
    assert outcome.slot is slot
    assert slot.reply is None
    assert one.outstanding == {}


def test_an_interim_answer_brings_credits_and_time() -> None:
    one = exchange()
    _, [slot] = submit(one, Ask(EchoRequest()))
    had = one.credits.available
    interim = answer(
        0,
        credits=2,
        status=Status.PENDING,
        flags=HeaderFlags.RESPONSE | HeaderFlags.ASYNC,
        reserved=9,
        body=bytes(ErrorResponse()),
    )
    assert arrive(one, interim, now=110.0) == []
    assert (slot.async_id, slot.deadline, slot.is_done) == (9, 125.0, False)
    assert one.credits.available == had + 2
    window = one.credits.window
    final = answer(0, flags=HeaderFlags.RESPONSE | HeaderFlags.ASYNC, reserved=9)
    [outcome] = arrive(one, final)
    assert isinstance(outcome, Finished)
    assert one.credits.window == window  # its charge was answered by the interim response


def test_an_interim_answer_gives_no_deadline_to_the_patient() -> None:
    one = exchange()
    _, [slot] = submit(one, Ask(EchoRequest(), patient=True))
    flags = HeaderFlags.RESPONSE | HeaderFlags.ASYNC
    arrive(one, answer(0, status=Status.PENDING, flags=flags, reserved=9))
    assert slot.deadline == float("inf")


def test_a_break_is_told_whatever_it_breaks() -> None:
    [outcome] = arrive(exchange(), answer(BREAK_MESSAGE_ID, Command.OPLOCK_BREAK))
    assert isinstance(outcome, Broken)


@pytest.mark.parametrize(
    ("frame", "match"),
    [
        (b"", "no SMB2 message"),
        (b"\xffSMB" + bytes(100), "no SMB2 message"),
        (answer(5), "never sent"),
        (answer(0, Command.READ), "ECHO was answered as command 8"),
        (answer(0, flags=0), "a request from the server"),
        (answer(BREAK_MESSAGE_ID, Command.ECHO), "unsolicited"),
        (answer(0)[:30], "a message of 30 bytes"),
        (b"\xfdSMB" + bytes(100), "no keys"),
        (b"\xfdSMB", "truncated"),
    ],
)
def test_nonsense(frame: bytes, match: str) -> None:
    one = exchange()
    submit(one, Ask(EchoRequest()))
    with pytest.raises(WireError, match=match):
        arrive(one, frame)


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_an_outcome_a_wire_error_or_tampered(data: bytes, framed: bool) -> None:
    one, guard = exchange(), sealed_guard(HmacSigner(KEY))
    submit(one, Ask(EchoRequest()), guard=guard)
    frame = (b"\xfeSMB@\0" if framed else b"") + data
    try:
        arrive(one, frame, guard)
    except (WireError, Tampered):
        return


def test_a_second_answer_is_nonsense() -> None:
    one = exchange()
    submit(one, Ask(EchoRequest()))
    arrive(one, answer(0))
    with pytest.raises(WireError, match="never sent"):
        arrive(one, answer(0))


# The end


def test_failing_all_spares_who_left() -> None:
    one = exchange()
    _, [waiting, gone] = submit(one, Ask(EchoRequest()), Ask(EchoRequest()))
    gone.abandoned = True
    error = ConnectionLost("over")
    assert one.fail_all(error) == [waiting]
    assert waiting.error is error
    assert waiting.is_done
    assert gone.error is None
    assert one.outstanding == {}
