"""A connected stream to a server: which address, which port, and what to say if there is none.

Knows names, addresses, ports and the NetBIOS session request of port 139; not frames, not SMB.
Addresses of both families are tried in turn, 250 ms apart, until one answers (RFC 8305).  Every
error says what each address said, since "cannot connect" helps nobody.

Easily broken: two attempts may succeed in the same instant.  Whoever does not win closes his
socket, whatever else happens.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from errno import ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT
from itertools import chain, zip_longest
from typing import cast

import trio

from smbfs.errors import ConnectionLost, ServerSilent
from smbfs.wire.codec import Blob
from smbfs.wire.netbios import ANY_SERVER, SessionHeader, session_refusal, session_request

DIRECT_PORT, NETBIOS_PORT = 445, 139
ATTEMPT_DELAY_S = 0.25  # RFC 8305 section 5
KEEPALIVE_IDLE_S = 60  # shorter than the memory of most routers
# How much the kernel holds before the writer is told to wait.  trio's 16 KiB suit programs that
# may still reorder; we would only wake up more often (loopback, 1 MiB: 450 against 250 us of CPU).
UNSENT_BYTES = 1 << 20
NAME_SIZE = 15  # of a NetBIOS name
ANSWER_SIZE = 6  # the longest answer to a session request, after its header
PARTS_LIMIT = 1024  # IOV_MAX on Linux

Address = tuple[str, int] | tuple[str, int, int, int]  # as `socket` has them; the port is ours
Addresses = Callable[[], Awaitable[Sequence[Address]]]

REASONS = {
    ECONNREFUSED: "refuses the connection, so nothing serves SMB there",
    EHOSTUNREACH: "cannot be reached, nobody has this address now",
    ENETUNREACH: "cannot be reached, no route leads there",
    ETIMEDOUT: "does not answer",
}
SILENT = "does not answer (switched off, or behind a firewall)"


@dataclass(frozen=True)
class NetBios:
    """How to open a NetBIOS session; empty names are found out."""

    called: str = ""  # the server's name
    calling: str = ""  # ours
    always: bool | None = None  # None: on port 139 only


@dataclass(frozen=True)
class Connected:
    """A stream, and what it is connected to."""

    stream: trio.SocketStream
    address: str
    port: int
    netbios: bool  # frames may be keep-alives, see `smbfs.engine.frames`


@dataclass
class _Race:
    """Several attempts to connect, of which one wins."""

    port: int
    source: str | None
    winner: tuple[trio.SocketStream, Address] | None = None
    failures: dict[Address, str] = field(default_factory=dict)


async def connect(
    host: str,
    port: int | None = None,
    *,
    timeout_s: float,
    addresses: Addresses | None = None,
    srcaddr: str | None = None,
    netbios: NetBios | None = None,
) -> Connected:
    """Connect to the first address of ``host`` that answers.

    Without a port 445 is tried, then 139.  ``addresses`` is asked instead of the resolver;
    ``srcaddr`` is the local address to connect from.  Raises ConnectionLost or ServerSilent with a
    sentence for the user.
    """
    netbios = netbios or NetBios()
    deadline = trio.current_time() + timeout_s
    found = await _look_up(host, addresses, timeout_s)
    usable = interleaved([address for address in found if _suits(address, srcaddr)])
    if not usable:
        raise ConnectionLost(f"{host} has no address that can be reached from {srcaddr}")
    if port is not None:
        return await _connect_port(host, usable, port, deadline, srcaddr, netbios)
    try:
        # A server so old that it is silent on 445 gets a third of the time on 139.
        first = deadline - timeout_s / 3
        return await _connect_port(host, usable, DIRECT_PORT, first, srcaddr, netbios)
    except ConnectionLost as error:
        try:
            return await _connect_port(host, usable, NETBIOS_PORT, deadline, srcaddr, netbios)
        except ConnectionLost as another:
            raise type(error)(f"{error}; {another}") from error


async def resolve(host: str) -> list[Address]:
    """The addresses of a name, in the order the system prefers (RFC 6724).

    Raises ConnectionLost with a sentence if there are none.
    """
    try:
        found = await trio.socket.getaddrinfo(host, DIRECT_PORT, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise ConnectionLost(f"{host!r} cannot be the name of a host") from error
    except socket.gaierror as error:
        raise ConnectionLost(f"no host is known as {host!r} ({error.strerror})") from error
    # The one other form, (int, bytes), is that of a Python without IPv6.
    return cast(list[Address], [sockaddr for *_, sockaddr in found])


def interleaved(addresses: Sequence[Address]) -> list[Address]:
    """The addresses with the families in turn, beginning with that of the first (RFC 8305 4)."""
    unique = list(dict.fromkeys(addresses))
    first = [address for address in unique if len(address) == len(unique[0])]
    others = [address for address in unique if len(address) != len(unique[0])]
    turns = chain.from_iterable(zip_longest(first, others))
    return [address for address in turns if address is not None]


def send_now(stream: trio.abc.SendStream, parts: list[Blob]) -> list[Blob]:
    """Send what the kernel takes without waiting, and answer what is left of the parts.

    Nobody else may be sending.  Answers ``parts`` itself if nothing went out, for whatever
    reason: `send_parts` will hear it.
    """
    if not isinstance(stream, trio.SocketStream) or len(parts) > PARTS_LIMIT:
        return parts
    try:
        sent = os.writev(stream.socket.fileno(), parts)  # which is -1 once it is closed
    except OSError:
        return parts
    for number, part in enumerate(parts, 1):
        if sent < len(part):
            return [memoryview(part)[sent:], *parts[number:]]
        sent -= len(part)
    return []


async def send_parts(
    stream: trio.abc.SendStream, parts: Sequence[Blob], moved: Callable[[], None]
) -> None:
    """Send the parts of one or more frames without joining them; ``moved`` hears of progress.

    One task only.  Cancelled in the middle it leaves half a frame behind, and the stream is of
    no use any more.  Raises what the stream raises, OSError included.
    """
    if not isinstance(stream, trio.SocketStream):
        await stream.send_all(b"".join(parts))
        return
    views = [memoryview(part) for part in parts if len(part)]
    first = 0
    while first < len(views):
        sent = await stream.socket.sendmsg(views[first : first + PARTS_LIMIT])
        moved()
        while first < len(views) and sent >= len(views[first]):
            sent -= len(views[first])
            first += 1
        if sent:
            views[first] = views[first][sent:]


# One port


async def _look_up(host: str, addresses: Addresses | None, timeout_s: float) -> Sequence[Address]:
    with trio.move_on_after(timeout_s):
        found = await (addresses() if addresses is not None else resolve(host))
        if not found:
            raise ConnectionLost(f"no address is known of {host}")
        return found
    raise ServerSilent(f"the name service did not say in {timeout_s:g} s who {host} is")


def _suits(address: Address, srcaddr: str | None) -> bool:
    """Whether one can connect to an address from ``srcaddr``: the same family."""
    return srcaddr is None or _family(address) == _family((srcaddr, 0))


def _family(address: Address) -> socket.AddressFamily:
    version = ipaddress.ip_address(address[0]).version
    return socket.AF_INET6 if version == 6 else socket.AF_INET


async def _connect_port(
    host: str,
    addresses: Sequence[Address],
    port: int,
    deadline: float,
    srcaddr: str | None,
    netbios: NetBios,
) -> Connected:
    is_netbios = port == NETBIOS_PORT if netbios.always is None else netbios.always
    names = _called_names(host, netbios) if is_netbios else [""]
    refusals = []
    for name in names:
        stream, address = await _race(host, addresses, port, deadline, srcaddr)
        refusal = await _open_session(stream, name, netbios, deadline) if is_netbios else ""
        if not refusal:
            return Connected(stream, str(address[0]), port, is_netbios)
        refusals.append(f"{refusal} (called {name})")
    raise ConnectionLost(f"{host} opens no NetBIOS session on port {port}: {'; '.join(refusals)}")


async def _race(
    host: str, addresses: Sequence[Address], port: int, deadline: float, srcaddr: str | None
) -> tuple[trio.SocketStream, Address]:
    race = _Race(port, srcaddr)
    try:
        with trio.move_on_at(deadline):
            async with trio.open_nursery() as nursery:
                for address in addresses:
                    failed = trio.Event()
                    nursery.start_soon(_attempt, race, address, failed, nursery.cancel_scope)
                    with trio.move_on_after(ATTEMPT_DELAY_S):
                        await failed.wait()
    except BaseException:
        if race.winner is not None:
            race.winner[0].socket.close()
        raise
    if race.winner is None:
        raise _nobody(host, race)
    return race.winner


async def _attempt(
    race: _Race, address: Address, failed: trio.Event, others: trio.CancelScope
) -> None:
    race.failures[address] = SILENT
    try:
        stream = await _dial(address, race.port, race.source)
    except OSError as error:
        race.failures[address] = REASONS.get(error.errno or 0, error.strerror or str(error))
        failed.set()
        return
    if race.winner is None:
        race.winner = stream, address
        others.cancel()
    else:
        stream.socket.close()


async def _dial(address: Address, port: int, source: str | None) -> trio.SocketStream:
    sock = trio.socket.socket(_family(address), socket.SOCK_STREAM)
    try:
        if source is not None:
            await sock.bind((source, 0))
        await sock.connect((address[0], port, *address[2:]))
        stream = trio.SocketStream(sock)  # sets TCP_NODELAY
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    except BaseException:
        sock.close()
        raise
    return stream


def _nobody(host: str, race: _Race) -> ConnectionLost:
    kind = ServerSilent if {SILENT} >= set(race.failures.values()) else ConnectionLost
    said = "; ".join(f"{address[0]} {reason}" for address, reason in race.failures.items())
    return kind(f"cannot connect to {host} on port {race.port}: {said}")


# NetBIOS sessions


def _called_names(host: str, netbios: NetBios) -> list[str]:
    """What to call the server: the name we were given or its host name, then any server."""
    label = host.split(".")[0]
    is_name = label.isascii() and len(label) <= NAME_SIZE and not _is_address(host)
    name = netbios.called or (label if is_name else ANY_SERVER)
    return list(dict.fromkeys([name.upper(), ANY_SERVER]))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _open_session(
    stream: trio.SocketStream, name: str, netbios: NetBios, deadline: float
) -> str:
    """Ask for a session; "" or the reason why there is none, and then the stream is closed."""
    calling = netbios.calling or socket.gethostname().split(".")[0][:NAME_SIZE]
    refusal: str | None = None
    try:
        request = session_request(name, calling)
        with trio.move_on_at(deadline):
            refusal = await _ask_session(stream, request)
    except ValueError as error:  # WireError, too
        refusal = str(error)
    except (trio.BrokenResourceError, ConnectionLost):
        refusal = "it closes the connection"
    finally:
        if refusal != "":
            stream.socket.close()
    return "it does not answer" if refusal is None else refusal


async def _ask_session(stream: trio.SocketStream, request: bytes) -> str:
    await stream.send_all(request)
    packet = bytearray()
    size = SessionHeader.FIXED
    while len(packet) < size:
        chunk = await stream.receive_some(size - len(packet))
        if not chunk:
            raise ConnectionLost("no session")
        packet += chunk
        if len(packet) == SessionHeader.FIXED:
            size += min(SessionHeader.parse(memoryview(packet)).length, ANSWER_SIZE)
    return session_refusal(memoryview(packet))
