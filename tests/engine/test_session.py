"""Logging in and entering a share: on our terms, or not at all."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import trio

from smbfs.auth import Login, Secret
from smbfs.engine import link as link_module
from smbfs.engine.dialect import DIALECTS_FOR, Policy
from smbfs.engine.exchange import Ask
from smbfs.engine.link import Link
from smbfs.engine.session import Tree
from smbfs.errors import ConnectionLost, Refused, SmbError, StatusError, Tampered
from smbfs.wire.constants import Cipher, SessionFlags, ShareFlags, ShareType
from smbfs.wire.file_messages import FlushRequest
from smbfs.wire.header import Command
from smbfs.wire.messages import (
    EchoRequest,
    LogoffRequest,
    NegotiateResponse,
    SessionSetupResponse,
)
from smbfs.wire.status import Status
from tests.engine.by_hand import FILE_ID
from tests.fake import LOGIN, FakeServer, Nature, Volume, fake_link
from tests.fake.messages import Answer, Proof
from tests.fake.script import Changes, DeletesSession, Expires, Fails, Forges

STRANGER = Login("stranger", Secret("any"))
NOBODY = Login("", Secret(""), kind="none")
V21, V30 = Policy(dialects=DIALECTS_FOR["2.1"]), Policy(dialects=DIALECTS_FOR["3.0"])
V311 = Policy(dialects=DIALECTS_FOR["3.1.1"])


async def refusal(link: Link, kind: type[SmbError]) -> str:
    with pytest.raises(kind) as caught:
        await link.tree()
    assert type(caught.value) is kind
    return str(caught.value)


# Who we are


@pytest.mark.parametrize("vers", ["2.0", "2.1", "3.0", "3.0.2", "3.1.1", "default"])
async def test_a_login_gives_keys(nursery: trio.Nursery, vers: str) -> None:
    policy = Policy(dialects=DIALECTS_FOR[vers])
    async with fake_link(nursery, policy=policy, nature=Nature(must_sign=True)) as (link, server):
        tree = await link.tree()
        assert tree.session.guard.signer is not None
        assert tree.is_alive
        assert tree.largest > 1
        assert not tree.session.is_guest
        [session_id] = server.sessions
        assert tree.session.guard.session_id == session_id


@pytest.mark.parametrize("cipher", range(Cipher.AES_128_CCM, Cipher.AES_256_GCM + 1))
async def test_whoever_wants_it_everything_is_sealed(nursery: trio.Nursery, cipher: int) -> None:
    for policy, nature in (
        (replace(V311, seal=True, ciphers=(cipher,)), Nature()),
        (replace(V311, ciphers=(cipher,)), Nature(must_seal=True)),
    ):
        async with fake_link(nursery, policy=policy, nature=nature) as (link, _):
            tree = await link.tree()
            assert tree.session.guard.must_seal
            assert tree.session.capabilities.cipher == cipher
            [slot] = await tree.post([Ask(EchoRequest())])
            assert slot.sealed
            assert (await tree.wait(slot)).is_proven


async def test_a_wrong_password_is_refused(nursery: trio.Nursery) -> None:
    login = replace(LOGIN, password=Secret("wrong"))
    async with fake_link(nursery, login=login) as (link, _):
        assert "password" in await refusal(link, Refused)


async def test_a_refusal_without_a_sentence_is_named(nursery: trio.Nursery) -> None:
    day = Fails(status=Status.DATA_ERROR, on=Command.SESSION_SETUP)
    async with fake_link(nursery, script=[day]) as (link, _):
        assert "DATA_ERROR" in await refusal(link, Refused)


async def test_a_guest_is_one_only_if_he_wants_to(nursery: trio.Nursery) -> None:
    async with fake_link(nursery, login=STRANGER, nature=Nature(guests=True)) as (link, _):
        assert "only as a guest" in await refusal(link, Refused)
    willing = replace(STRANGER, may_be_guest=True)
    async with fake_link(nursery, login=willing, nature=Nature(guests=True)) as (link, _):
        tree = await link.tree()
        assert tree.session.is_guest
        assert tree.session.guard.signer is None
        assert not (await tree.wait((await tree.post([Ask(EchoRequest())]))[0])).is_proven


@pytest.mark.parametrize("login", [replace(STRANGER, may_be_guest=True), NOBODY])
async def test_without_an_identity_nothing_is_sealed(nursery: trio.Nursery, login: Login) -> None:
    nature = Nature(guests=True, anonymous=True)
    policy = replace(V311, seal=True)
    async with fake_link(nursery, login=login, policy=policy, nature=nature) as (link, _):
        assert "cannot encrypt" in await refusal(link, Refused)


async def test_nobody_enters_where_nobody_may(nursery: trio.Nursery) -> None:
    async with fake_link(nursery, login=NOBODY, nature=Nature(anonymous=True)) as (link, _):
        assert (await link.tree()).session.is_guest
    async with fake_link(nursery, login=NOBODY) as (link, _):
        await refusal(link, Refused)


async def test_a_known_user_made_a_guest_on_the_way(nursery: trio.Nursery) -> None:
    """Somebody sets the flag that would switch signing off."""

    def make_guest(answer: Answer) -> None:
        answer.body = bytes(SessionSetupResponse(session_flags=SessionFlags.GUEST))
        answer.status = Status.SUCCESS

    for script in (
        [Changes(how=make_guest, on=Command.SESSION_SETUP, after=1)],
        [Changes(how=make_guest, on=Command.SESSION_SETUP)],
    ):
        async with fake_link(nursery, script=script) as (link, _):
            assert "only as a guest" in await refusal(link, Refused)


# Whether it was the server


@pytest.mark.parametrize("policy", [V21, V30, V311, replace(V311, sign=False)])
@pytest.mark.parametrize("proof", [Proof.FLIPPED, Proof.STRIPPED, Proof.ZERO])
async def test_a_forged_end_of_the_login(
    nursery: trio.Nursery, policy: Policy, proof: Proof
) -> None:
    script = [Forges(on=Command.SESSION_SETUP, proof=proof)]
    async with fake_link(nursery, policy=policy, script=script) as (link, _):
        assert "did not sign the end of the login" in await refusal(link, Tampered)


async def test_who_insists_on_nothing_gets_no_proof_from_an_old_server(
    nursery: trio.Nursery,
) -> None:
    script = [Forges(on=Command.SESSION_SETUP, proof=Proof.STRIPPED)]
    async with fake_link(nursery, policy=replace(V21, sign=False), script=script) as (link, _):
        tree = await link.tree()
        assert tree.session.guard.signer is None


async def test_a_login_cut_short(nursery: trio.Nursery) -> None:
    """Success before anybody proved anything."""

    def succeed(answer: Answer) -> None:
        answer.status = Status.SUCCESS

    script = [Changes(how=succeed, on=Command.SESSION_SETUP, times=1)]
    async with fake_link(nursery, policy=V311, script=script) as (link, _):
        assert "did not sign" in await refusal(link, Tampered)


async def test_a_changed_negotiation_makes_other_keys(nursery: trio.Nursery) -> None:
    def touch(answer: Answer) -> None:
        response = NegotiateResponse.parse(memoryview(bytes(64) + answer.body))
        response.system_time += 1
        answer.body = bytes(response)
        was = answer.on_sent
        assert was is not None
        honest = bytearray(answer.pack(None, is_last=True))
        answer.on_sent = lambda message: was(bytes([*honest[:-1], honest[-1] ^ 1]))

    script = [Changes(how=touch, on=Command.NEGOTIATE)]
    async with fake_link(nursery, policy=V311, script=script) as (link, _):
        await refusal(link, Tampered)


class Mechanism:
    """An authenticator with a will of its own."""

    is_anonymous = False
    complete = True
    session_key = b""

    def __init__(self, *, may_block: bool = False) -> None:
        self.may_block = may_block
        self.threads: list[int] = []

    def step(self, token: bytes | None) -> bytes | None:
        self.threads.append(threading.get_ident())
        return b"token"


@pytest.mark.parametrize("may_block", [True, False])
async def test_a_mechanism_that_may_block_runs_in_a_thread(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, may_block: bool
) -> None:
    mechanism = Mechanism(may_block=may_block)
    monkeypatch.setattr(link_module, "authenticator_for", lambda login, host: mechanism)
    async with fake_link(nursery) as (link, _):
        await refusal(link, Refused)
    assert (mechanism.threads[0] != threading.get_ident()) == may_block


async def test_a_login_without_a_key(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def succeed(answer: Answer) -> None:
        answer.status, answer.body = Status.SUCCESS, bytes(SessionSetupResponse())

    monkeypatch.setattr(link_module, "authenticator_for", lambda login, host: Mechanism())
    async with fake_link(nursery, script=[Changes(how=succeed, on=Command.SESSION_SETUP)]) as (
        link,
        _,
    ):
        assert "no session key" in await refusal(link, Refused)


async def test_encryption_demanded_without_a_cipher(nursery: trio.Nursery) -> None:
    def demand(answer: Answer) -> None:
        response = SessionSetupResponse.parse(memoryview(bytes(64) + answer.body))
        response.session_flags |= SessionFlags.ENCRYPT_DATA
        answer.body = bytes(response)

    script = [Changes(how=demand, on=Command.SESSION_SETUP, after=1)]
    async with fake_link(nursery, policy=replace(V311, ciphers=()), script=script) as (link, _):
        assert "no cipher in common" in await refusal(link, Refused)


# The share


@pytest.mark.parametrize(
    ("volume", "denied", "match"),
    [
        (Volume("other"), False, "has no share called 'share'"),
        (Volume("share"), True, "does not let this user into the share"),
        (Volume("share", share_type=ShareType.PIPE), False, "is no folder share"),
        (Volume("share", flags=ShareFlags.ENCRYPT_DATA), False, "demands encryption"),
    ],
)
async def test_a_share_that_cannot_be_entered(
    nursery: trio.Nursery, volume: Volume, denied: bool, match: str
) -> None:
    server = FakeServer(Volume(), nature=Nature(guests=True))
    async with fake_link(nursery, server=server, login=replace(STRANGER, may_be_guest=True)) as (
        link,
        _,
    ):
        server.volumes = {volume.name: volume}
        server.denied = {"share"} if denied else set()
        assert match in await refusal(link, Refused)


async def test_another_reason_not_to_enter_is_named(nursery: trio.Nursery) -> None:
    script = [Fails(status=Status.DATA_ERROR, on=Command.TREE_CONNECT)]
    async with fake_link(nursery, script=script) as (link, _):
        message = await refusal(link, Refused)
        assert "//fake/share could not be connected: DATA_ERROR" in message


async def test_a_share_alone_can_be_sealed(nursery: trio.Nursery) -> None:
    for policy in (V30, V311):
        async with fake_link(nursery, share=Volume(encrypt=True), policy=policy) as (link, _):
            tree = await link.tree()
            assert tree.seal
            assert not tree.session.guard.must_seal
            slots = tree.post_now([Ask(EchoRequest())])
            assert slots is not None
            assert (await tree.wait(slots[0])).is_proven


async def test_who_does_not_insist_signs_until_he_is_in(nursery: trio.Nursery) -> None:
    """TREE_CONNECT has to be signed on 3.1.1, whoever insists on what."""
    async with fake_link(nursery, policy=replace(V311, sign=False)) as (link, _):
        assert (await link.tree()).session.guard.signer is None
    nature = Nature(must_sign=True)
    async with fake_link(nursery, policy=replace(V311, sign=False), nature=nature) as (link, _):
        assert (await link.tree()).session.guard.signer is not None


async def test_statuses_that_are_no_answers(nursery: trio.Nursery) -> None:
    async with fake_link(nursery) as (link, _):
        tree = await link.tree()
        with pytest.raises(StatusError, match="FLUSH: FILE_CLOSED"):
            await tree.session.ask(Ask(FlushRequest(file_id=FILE_ID)), tree_id=tree.tree_id)
        assert not isinstance(LogoffRequest(), FlushRequest)


@pytest.mark.parametrize(
    ("day", "match"),
    [
        (DeletesSession(), "the server ended our session"),
        (Expires(), "our login has expired"),
        (Fails(status=Status.NETWORK_NAME_DELETED), "the server withdrew the share"),
    ],
)
async def test_when_the_ground_is_gone_nothing_more_is_asked(
    nursery: trio.Nursery, day: Fails, match: str
) -> None:
    async with fake_link(nursery, script=[day]) as (link, server):
        tree = await link.tree()
        await gone(tree, match)
        assert link.live is None
        asked = len(server.requests)
        with pytest.raises(ConnectionLost, match=match):
            await tree.post([Ask(EchoRequest())])
        assert tree.post_now([Ask(EchoRequest())]) is None
        assert len(server.requests) == asked


async def gone(tree: Tree, match: str) -> None:
    [slot] = await tree.post([Ask(FlushRequest(file_id=FILE_ID))])
    with pytest.raises(ConnectionLost, match=match):
        await tree.wait(slot)
    assert not tree.is_alive


async def test_leaving(nursery: trio.Nursery) -> None:
    async with fake_link(nursery) as (link, server):
        tree = await link.tree()
        [slot] = await tree.post([Ask(EchoRequest(), patient=True)])
        tree.abandon(slot)
        await tree.disconnect()
        await tree.session.log_off()
        assert not server.sessions
