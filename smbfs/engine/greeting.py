"""The first words on a new connection: NEGOTIATE, and what to think of who does not understand it.

A server may choke on 3.1.1, answer in SMB1, or hang up because SMB1 is all it knows; each gets one
more try of the right kind and then a sentence.  Easily broken: the policy that is validated later
is the user's, never the lowered one, or a forged refusal would pass unseen.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

import trio

from smbfs.crypto import Preauth
from smbfs.engine.connection import Connection
from smbfs.engine.dialect import (
    SALT_SIZE,
    SMB1_ONLY,
    SMB1_PROBE,
    Capabilities,
    Policy,
    accepts_smb1,
    choose,
    lower,
    offer,
)
from smbfs.engine.exchange import Ask
from smbfs.engine.frames import Frames
from smbfs.errors import ConnectionLost, Refused, ServerSilent, SmbError, StatusError
from smbfs.wire.codec import WireError
from smbfs.wire.messages import NegotiateRequest

Dial = Callable[[], Awaitable[tuple[trio.abc.Stream, bool]]]  # the stream, and whether NetBIOS
Make = Callable[[trio.abc.Stream, bool], Connection]  # a running connection on a stream

OVERHEAD = 64 * 1024  # headers of a chain round the largest agreed payload
PROBE_LIMIT = 4096
PROBE_S = 3.0


async def greet(
    dial: Dial, make: Make, policy: Policy, host: str
) -> tuple[Connection, Capabilities, NegotiateRequest, Preauth]:
    """Connect and agree on a dialect.  Raises Refused, ConnectionLost, Tampered, WireError."""
    attempt: Policy | None = policy
    while attempt is not None:
        connection = make(*await dial())
        try:
            return connection, *await _negotiate(connection, attempt, host)
        except StatusError as error:
            connection.lose(ConnectionLost("another dialect is tried"))
            refusal, attempt = error, lower(attempt)
        except ServerSilent:
            connection.lose(ConnectionLost("nothing was agreed"))
            raise
        except ConnectionLost:
            await _explain(dial, host)
            raise
        except BaseException:
            connection.lose(ConnectionLost("nothing was agreed"))
            raise
    raise Refused(f"{host} does not accept our greeting ({refusal.status.name})") from refusal


async def _negotiate(
    connection: Connection, policy: Policy, host: str
) -> tuple[Capabilities, NegotiateRequest, Preauth]:
    preauth = Preauth()
    request = offer(policy, host, os.urandom(SALT_SIZE))
    [slot] = await connection.post([Ask(request)], record=True)
    preauth.update(slot.sent)
    reply = await connection.wait(slot)
    preauth.update(reply.view)
    capabilities = choose(policy, request, reply.view)
    exchange = connection.exchange
    exchange.charges = capabilities.large_mtu
    exchange.large_mtu = capabilities.large_mtu
    most = max(capabilities.max_read, capabilities.max_write, capabilities.max_transact)
    connection.negotiated(most + OVERHEAD)
    return capabilities, request, preauth


async def _explain(dial: Dial, host: str) -> None:
    """Find out whether a server that hung up on us knows only SMB1; raises Refused if so."""
    with trio.move_on_after(PROBE_S):
        try:
            stream, netbios = await dial()
        except SmbError:
            return
        try:
            await stream.send_all(len(SMB1_PROBE).to_bytes(4, "big") + SMB1_PROBE)
            answer = await Frames(stream, PROBE_LIMIT, netbios=netbios).receive()
        except (SmbError, WireError, OSError, trio.BrokenResourceError):
            return
        finally:
            await trio.aclose_forcefully(stream)
        if accepts_smb1(answer):
            raise Refused(f"{host} {SMB1_ONLY}")
