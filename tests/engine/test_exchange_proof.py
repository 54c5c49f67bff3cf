"""Who may say what: signatures, seals, and hints that need neither."""

from __future__ import annotations

import pytest

from smbfs.crypto import HmacSigner
from smbfs.engine.exchange import HINTS, Ask, Finished, Guard, SessionId, is_signed_by
from smbfs.errors import Tampered
from smbfs.wire.header import HeaderFlags
from smbfs.wire.messages import EchoRequest
from smbfs.wire.status import Status
from tests.engine.by_hand import (
    KEY,
    SESSION,
    answer,
    arrive,
    exchange,
    sealed_guard,
    server_sealer,
    submit,
)


def test_a_signed_answer_is_proven() -> None:
    one, guard = exchange(), Guard(SESSION, HmacSigner(KEY))
    _, [slot] = submit(one, Ask(EchoRequest()), guard=guard)
    arrive(one, answer(0, signer=guard.signer), guard)
    assert slot.reply is not None
    assert slot.reply.is_proven
    assert is_signed_by(guard, slot.reply.header, slot.reply.view)
    assert not is_signed_by(Guard(SESSION), slot.reply.header, slot.reply.view)


@pytest.mark.parametrize(
    "status", [Status.SUCCESS, Status.ACCESS_DENIED, Status.OBJECT_NAME_NOT_FOUND]
)
@pytest.mark.parametrize("how", ["unsigned", "wrong key", "claimed"])
def test_an_answer_without_proof_is_refused(status: Status, how: str) -> None:
    one, guard = exchange(), Guard(SESSION, HmacSigner(KEY))
    _, [slot] = submit(one, Ask(EchoRequest()), guard=guard)
    signer = HmacSigner(b"x" * 16) if how == "wrong key" else None
    flags = HeaderFlags.RESPONSE | (HeaderFlags.SIGNED if how == "claimed" else 0)
    with pytest.raises(Tampered, match="signature"):
        arrive(one, answer(0, signer=signer, status=status, flags=flags), guard)
    assert not slot.is_done


@pytest.mark.parametrize("status", sorted(HINTS))
def test_a_hint_needs_no_proof_and_is_an_error(status: Status) -> None:
    assert status.is_error  # never data
    for guard in (Guard(SESSION, HmacSigner(KEY)), sealed_guard()):
        one = exchange()
        _, [slot] = submit(one, Ask(EchoRequest()), guard=guard)
        arrive(one, answer(0, status=status), guard)
        assert slot.reply is not None
        assert slot.reply.status == status
        assert not slot.reply.is_proven
        assert slot.reply.is_hint


@pytest.mark.parametrize("status", sorted(HINTS))
def test_what_is_proven_or_need_not_be_is_no_hint(status: Status) -> None:
    for guard in (Guard(SESSION, HmacSigner(KEY)), Guard(SESSION)):
        one = exchange()
        _, [slot] = submit(one, Ask(EchoRequest()), guard=guard)
        arrive(one, answer(0, status=status, signer=guard.signer), guard)
        assert slot.reply is not None
        assert not slot.reply.is_hint


def test_a_hint_with_a_signature_must_have_the_right_one() -> None:
    one, guard = exchange(), Guard(SESSION, HmacSigner(KEY))
    submit(one, Ask(EchoRequest()), guard=guard)
    forged = answer(0, status=Status.USER_SESSION_DELETED, signer=HmacSigner(b"x" * 16))
    with pytest.raises(Tampered):
        arrive(one, forged, guard)


@pytest.mark.parametrize("is_signed", [True, False])
def test_a_plain_answer_to_what_was_sealed_is_refused(is_signed: bool) -> None:
    one, guard = exchange(), sealed_guard(HmacSigner(KEY))
    submit(one, Ask(EchoRequest()), guard=guard)
    with pytest.raises(Tampered, match="a plain answer"):
        arrive(one, answer(0, signer=guard.signer if is_signed else None), guard)


def test_a_sealed_answer_is_proven_signed_or_not() -> None:
    one, guard = exchange(), sealed_guard()
    _, [slot] = submit(one, Ask(EchoRequest()), guard=guard)
    [outcome] = arrive(one, b"".join(server_sealer().seal([answer(0)])), guard)
    assert isinstance(outcome, Finished)
    assert slot.reply is not None
    assert slot.reply.is_proven


def test_the_seal_of_another_session_is_refused() -> None:
    one, guard = exchange(), sealed_guard()
    submit(one, Ask(EchoRequest()), guard=Guard(SessionId(1), HmacSigner(KEY)))
    with pytest.raises(Tampered, match="another session"):
        arrive(one, b"".join(server_sealer().seal([answer(0)])), guard)


def test_a_broken_seal_is_refused() -> None:
    one, guard = exchange(), sealed_guard()
    submit(one, Ask(EchoRequest()), guard=guard)
    frame = b"".join(server_sealer().seal([answer(0)]))
    with pytest.raises(Tampered, match="broken"):
        arrive(one, frame[:-1] + bytes([frame[-1] ^ 1]), guard)
