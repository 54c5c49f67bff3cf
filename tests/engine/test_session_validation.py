"""Asking again what was negotiated, under a signature ([MS-SMB2] 3.2.5.5)."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio

from smbfs.engine.dialect import DIALECTS_FOR, Policy
from smbfs.errors import ConnectionLost, Refused, SmbError, StatusError, Tampered
from smbfs.wire.constants import GlobalCapabilities
from smbfs.wire.header import Command
from smbfs.wire.messages import NegotiateResponse
from smbfs.wire.status import Status
from tests.fake import LOGIN, Nature, Volume, fake_link
from tests.fake.messages import Answer, Proof
from tests.fake.script import BadDay, Changes, Fails, Forges

V30 = Policy(dialects=DIALECTS_FOR["3.0"])
DEFAULT = Policy()


async def commands(
    nursery: trio.Nursery, policy: Policy, nature: Nature | None = None
) -> list[Command]:
    async with fake_link(nursery, policy=policy, nature=nature) as (link, server):
        await link.tree()
        return [command for frame in server.requests for command in frame]


@pytest.mark.parametrize(
    ("vers", "is_asked"),
    [("2.0", False), ("2.1", False), ("3.0", True), ("3.0.2", True), ("3.1.1", False)],
)
async def test_it_is_asked_where_it_has_to_be(
    nursery: trio.Nursery, vers: str, is_asked: bool
) -> None:
    asked = await commands(nursery, Policy(dialects=DIALECTS_FOR[vers]))
    assert (Command.IOCTL in asked) == is_asked


async def test_who_offered_more_asks_an_old_server_too(nursery: trio.Nursery) -> None:
    asked = await commands(nursery, DEFAULT, nature=Nature(dialects=DIALECTS_FOR["2.1"]))
    assert Command.IOCTL in asked


async def test_a_guest_has_no_key_to_ask_with(nursery: trio.Nursery) -> None:
    login = replace(LOGIN, username="stranger", may_be_guest=True)
    async with fake_link(nursery, policy=V30, login=login, nature=Nature(guests=True)) as (
        link,
        server,
    ):
        await link.tree()
        assert (Command.IOCTL,) not in server.requests


@pytest.mark.parametrize("share", [Volume(), Volume(encrypt=True)])
async def test_an_old_server_does_not_know_the_question(
    nursery: trio.Nursery, share: Volume
) -> None:
    nature = Nature(validates=False)
    async with fake_link(nursery, policy=V30, share=share, nature=nature) as (link, _):
        await link.tree()


async def fails(
    nursery: trio.Nursery, kind: type[SmbError], *script: BadDay, nature: Nature | None = None
) -> str:
    async with fake_link(nursery, policy=V30, script=script, nature=nature) as (link, _):
        with pytest.raises(kind) as caught:
            await link.tree()
        return str(caught.value)


async def test_not_to_know_needs_a_signature(nursery: trio.Nursery) -> None:
    strips = Forges(on=Command.IOCTL, proof=Proof.STRIPPED)
    message = await fails(nursery, Tampered, strips, nature=Nature(validates=False))
    assert "is not signed" in message


async def test_another_answer_is_an_error(nursery: trio.Nursery) -> None:
    day = Fails(status=Status.ACCESS_DENIED, on=Command.IOCTL)
    assert "IOCTL: ACCESS_DENIED" in await fails(nursery, StatusError, day)


async def test_changed_capabilities_are_noticed(nursery: trio.Nursery) -> None:
    def weaken(answer: Answer) -> None:
        response = NegotiateResponse.parse(memoryview(bytes(64) + answer.body))
        response.capabilities &= ~GlobalCapabilities.ENCRYPTION
        answer.body = bytes(response)

    changes = Changes(how=weaken, on=Command.NEGOTIATE)
    assert "another negotiation" in await fails(nursery, Tampered, changes)


async def test_a_forged_refusal_of_the_best_dialect_is_noticed(nursery: trio.Nursery) -> None:
    """We ask with the dialects we offered at first, and an honest server hangs up."""
    script = [Fails(status=Status.NOT_SUPPORTED, on=Command.NEGOTIATE, times=1)]
    async with fake_link(nursery, policy=DEFAULT, script=script) as (link, server):
        with pytest.raises(ConnectionLost):
            await link.tree()
        assert server.dialled == 2


async def test_a_dialect_nobody_offered(nursery: trio.Nursery) -> None:
    def choose(answer: Answer) -> None:
        response = NegotiateResponse.parse(memoryview(bytes(64) + answer.body))
        response.dialect_revision = 0x0210
        answer.body = bytes(response)

    changes = Changes(how=choose, on=Command.NEGOTIATE)
    assert "was not offered" in await fails(nursery, Refused, changes)
