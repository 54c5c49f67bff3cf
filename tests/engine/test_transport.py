"""Somebody answers, or we say who was asked and what each said."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from errno import ECONNREFUSED, EPERM
from typing import Any

import pytest
import trio
from trio.testing import MockClock, memory_stream_one_way_pair

from smbfs.engine import transport
from smbfs.engine.transport import (
    Address,
    NetBios,
    connect,
    interleaved,
    resolve,
    send_now,
    send_parts,
)
from smbfs.errors import ConnectionLost, ServerSilent
from tests.engine.network import Network, is_closed, pair

ONE, TWO, SIX = ("192.0.2.1", 445), ("192.0.2.2", 445), ("2001:db8::6", 445, 0, 0)


def of(*addresses: Address) -> transport.Addresses:
    async def found() -> list[Address]:
        await trio.lowlevel.checkpoint()
        return list(addresses)

    return found


def ignored() -> None:
    """Hear of progress and do nothing."""


@pytest.fixture
async def network(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Network]:
    network = Network(monkeypatch)
    yield network
    network.close()


# Addresses


def test_families_take_turns() -> None:
    four: list[Address] = [(f"192.0.2.{n}", 445) for n in range(3)]
    six: list[Address] = [(f"2001:db8::{n}", 445, 0, 0) for n in range(2)]
    assert interleaved([]) == []
    assert interleaved([*six, *four]) == [six[0], four[0], six[1], four[1], four[2]]
    assert interleaved([*four, *four, *six]) == [four[0], six[0], four[1], six[1], four[2]]


async def test_the_resolver_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(host: str, port: int, type: int) -> list[Any]:
        await trio.lowlevel.checkpoint()
        if host == "unknown":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if host == "a..b":
            raise UnicodeError("label empty or too long")
        return [(0, 0, 0, "", ONE), (0, 0, 0, "", SIX)]

    monkeypatch.setattr(trio.socket, "getaddrinfo", getaddrinfo)
    assert await resolve("server") == [ONE, SIX]
    with pytest.raises(ConnectionLost, match="no host is known as 'unknown'"):
        await connect("unknown", timeout_s=1)
    with pytest.raises(ConnectionLost, match=r"'a\.\.b' cannot be the name"):
        await connect("a..b", timeout_s=1)


async def test_a_silent_name_service(autojump_clock: MockClock) -> None:
    async def never() -> list[Address]:
        await trio.sleep(99)
        return []

    with pytest.raises(ServerSilent, match="did not say in 3 s who server is"):
        await connect("server", timeout_s=3, addresses=never)


async def test_no_address_or_none_that_suits() -> None:
    with pytest.raises(ConnectionLost, match="no address is known of server"):
        await connect("server", timeout_s=3, addresses=of())
    with pytest.raises(ConnectionLost, match=r"can be reached from 192\.0\.2\.9"):
        await connect("server", timeout_s=3, addresses=of(SIX), srcaddr="192.0.2.9")


# The race


async def test_the_first_to_answer_wins(network: Network, autojump_clock: MockClock) -> None:
    network.answers = {"192.0.2.1": (0.6, None), "2001:db8::6": (0.1, None)}
    start = trio.current_time()
    found = await connect("server", 445, timeout_s=5, addresses=of(ONE, TWO, SIX))
    assert (found.address, found.port, found.netbios) == ("2001:db8::6", 445, False)
    times = [(round(at - start, 3), host) for at, host, _ in network.dialled]
    assert times == [(0.0, "192.0.2.1"), (0.25, "2001:db8::6")]
    assert not is_closed(found.stream)


async def test_a_refusal_starts_the_next_at_once(
    network: Network, autojump_clock: MockClock
) -> None:
    network.answers = {
        "192.0.2.1": (0.01, OSError(ECONNREFUSED, "refused")),
        "192.0.2.2": (0.01, None),
    }
    start = trio.current_time()
    found = await connect("server", 445, timeout_s=5, addresses=of(ONE, TWO))
    assert found.address == "192.0.2.2"
    assert trio.current_time() - start < 0.03


async def test_whoever_comes_second_in_the_same_instant_is_closed(
    network: Network, autojump_clock: MockClock
) -> None:
    network.answers = {"192.0.2.1": (0, None), "192.0.2.2": (0, None)}
    network.gate = trio.Event()
    async with trio.open_nursery() as nursery:

        async def open_gate() -> None:
            assert network.gate is not None
            await trio.sleep(1)
            network.gate.set()

        nursery.start_soon(open_gate)
        found = await connect("server", 445, timeout_s=5, addresses=of(ONE, TWO))
    first, second = network.streams
    assert found.stream in (first, second)
    assert sorted([is_closed(first), is_closed(second)]) == [False, True]
    assert not is_closed(found.stream)


async def test_silence_everywhere(network: Network, autojump_clock: MockClock) -> None:
    start = trio.current_time()
    with pytest.raises(ServerSilent) as info:
        await connect("server", 445, timeout_s=4, addresses=of(ONE, SIX))
    assert trio.current_time() - start == 4
    assert str(info.value) == (
        "cannot connect to server on port 445: 192.0.2.1 does not answer (switched off, or behind "
        "a firewall); 2001:db8::6 does not answer (switched off, or behind a firewall)"
    )


async def test_each_address_has_its_say(network: Network, autojump_clock: MockClock) -> None:
    network.answers = {
        "192.0.2.1": (0, OSError(ECONNREFUSED, "refused")),
        "192.0.2.2": (0, OSError(EPERM, "Operation not permitted")),
        "2001:db8::6": (0, OSError("no number")),
    }
    with pytest.raises(ConnectionLost) as info:
        await connect("server", 445, timeout_s=4, addresses=of(ONE, TWO, SIX))
    assert not isinstance(info.value, ServerSilent)
    for said in (
        "192.0.2.1 refuses the connection, so nothing serves SMB there",
        "192.0.2.2 Operation not permitted",
        "2001:db8::6 no number",
    ):
        assert said in str(info.value)


async def test_a_winner_whose_caller_went_away_is_closed(
    network: Network, autojump_clock: MockClock
) -> None:
    network.answers = {"192.0.2.1": (0.1, None)}
    with trio.CancelScope() as scope:
        network.on_answer = scope.cancel
        await connect("server", 445, timeout_s=5, addresses=of(ONE))
    assert scope.cancelled_caught
    assert [is_closed(stream) for stream in network.streams] == [True]


async def test_a_caller_who_goes_before_anybody_won(
    network: Network, autojump_clock: MockClock
) -> None:
    with trio.move_on_after(1) as scope:
        await connect("server", 445, timeout_s=5, addresses=of(ONE))
    assert scope.cancelled_caught


# Real sockets


async def test_a_real_connection() -> None:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    found = await connect("127.0.0.1", port, timeout_s=5, srcaddr="127.0.0.2")
    server = await listener.accept()
    assert server.socket.getpeername()[0] == "127.0.0.2"
    assert found.stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert found.stream.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    await send_parts(found.stream, [b"a", b"", memoryview(b"bc")], ignored)
    assert await server.receive_some(10) == b"abc"
    for stream in (found.stream, server, listener):
        await stream.aclose()
    with pytest.raises(ConnectionLost, match="refuses the connection"):
        await connect("127.0.0.1", port, timeout_s=5)


# NetBIOS

GRANTED, NO_SUCH_NAME = b"\x82\0\0\0", b"\x83\0\0\1\x82"
RETARGET = b"\x84\0\0\6\xc0\0\2\1\0\x8b"


async def session(
    network: Network, answers: list[bytes | None], host: str = "nas.example", **options: Any
) -> tuple[transport.Connected, list[bytes]]:
    """Connect to port 139, where each connection in turn answers so; None is hanging up."""
    network.answers = {"192.0.2.1": (0, None)}
    asked: list[bytes] = []
    ready = trio.Event()

    def wake() -> None:
        ready.set()

    async def serve() -> None:
        nonlocal ready
        for answer in answers:
            await ready.wait()
            ready = trio.Event()
            server = network.servers[-1]
            asked.append(bytes(await server.receive_some(100)))
            if answer is None:
                server.socket.close()
            else:
                for at in range(len(answer)):
                    await server.send_all(answer[at : at + 1])

    network.on_answer = wake
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        found = await connect(host, 139, timeout_s=3, addresses=of(ONE), **options)
        nursery.cancel_scope.cancel()
    return found, asked


def called(request: bytes) -> str:
    """The name a session request calls."""
    letters = request[5:37]
    raw = bytes((a - 65) << 4 | b - 65 for a, b in zip(letters[::2], letters[1::2], strict=True))
    return raw[:15].decode().rstrip()


async def test_a_session_is_asked_for_by_name(network: Network) -> None:
    found, asked = await session(network, [GRANTED])
    assert [called(request) for request in asked] == ["NAS"]
    assert (found.port, found.netbios) == (139, True)
    await network.servers[0].send_all(b"x")
    assert await found.stream.receive_some(1) == b"x"


async def test_then_any_server_is_asked(network: Network) -> None:
    found, asked = await session(network, [NO_SUCH_NAME, GRANTED])
    assert [called(request) for request in asked] == ["NAS", "*SMBSERVER"]
    assert is_closed(network.streams[0])
    assert found.stream is network.streams[1]


@pytest.mark.parametrize("host", ["192.0.2.1", "a-name-of-sixteen", "örtlich"])
async def test_what_is_no_netbios_name_is_not_called(network: Network, host: str) -> None:
    _, asked = await session(network, [GRANTED], host)
    assert [called(request) for request in asked] == ["*SMBSERVER"]


async def test_names_can_be_given(network: Network) -> None:
    _, asked = await session(network, [GRANTED], netbios=NetBios(called="box", calling="me"))
    assert called(asked[0]) == "BOX"
    assert called(asked[0][34:]) == "ME"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (NO_SUCH_NAME, "the name called is not there (called NAS); the name called is not there"),
        (RETARGET, "it sends us to another address"),
        (b"\xfeSMB" + bytes(6), "session packet of type 0xfe"),
        (None, "it closes the connection (called NAS)"),
    ],
)
async def test_no_session(network: Network, answer: bytes | None, why: str) -> None:
    with pytest.raises(ExceptionGroup) as info:
        await session(network, [answer, answer])
    error = info.value.exceptions[0]
    assert isinstance(error, ConnectionLost)
    assert "nas.example opens no NetBIOS session on port 139" in str(error)
    assert why in str(error)
    assert all(is_closed(stream) for stream in network.streams)


async def test_a_session_that_breaks(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    network.answers = {"192.0.2.1": (0, None)}
    network.on_answer = lambda: network.servers[-1].socket.close()
    with pytest.raises(ConnectionLost, match="it closes the connection"):
        await connect("server", 139, timeout_s=3, addresses=of(ONE))


async def test_a_name_too_long_for_netbios(network: Network) -> None:
    network.answers = {"192.0.2.1": (0, None)}
    name = NetBios(called="*SMBSERVER", calling="sixteen-letters!")
    with pytest.raises(ConnectionLost, match="too long for a NetBIOS name"):
        await connect("server", 139, timeout_s=3, addresses=of(ONE), netbios=name)


async def test_a_session_without_answer(network: Network, autojump_clock: MockClock) -> None:
    network.answers = {"192.0.2.1": (0, None)}
    name = NetBios(called="*SMBSERVER")
    with pytest.raises(ConnectionLost, match=r"it does not answer \(called \*SMBSERVER\)"):
        await connect("server", 139, timeout_s=3, addresses=of(ONE), netbios=name)
    assert is_closed(network.streams[0])


async def test_a_caller_who_goes_while_a_session_is_asked_for(network: Network) -> None:
    network.answers = {"192.0.2.1": (0, None)}
    with trio.CancelScope() as scope:
        network.on_answer = lambda: trio.lowlevel.spawn_system_task(later, scope) and None
        await connect("server", 139, timeout_s=3, addresses=of(ONE))
    assert scope.cancelled_caught
    assert is_closed(network.streams[0])


async def later(scope: trio.CancelScope) -> None:
    """Cancel when all others wait."""
    await trio.testing.wait_all_tasks_blocked()
    scope.cancel()


# Without a port


async def test_445_comes_before_139(network: Network, autojump_clock: MockClock) -> None:
    network.answers = {("192.0.2.1", 445): (0, None)}
    found = await connect("server", timeout_s=3, addresses=of(ONE))
    assert found.port == 445


async def test_139_comes_after_445(network: Network, autojump_clock: MockClock) -> None:
    network.answers = {("192.0.2.1", 139): (0, None)}
    found = await connect("server", timeout_s=3, addresses=of(ONE), netbios=NetBios(always=False))
    assert found.port == 139
    assert not found.netbios  # as was asked for
    assert [port for *_, port in network.dialled] == [445, 139]
    assert trio.current_time() < 2.01 + network.dialled[0][0]


async def test_nobody_on_either_port(network: Network, autojump_clock: MockClock) -> None:
    network.answers = {("192.0.2.1", 139): (0, OSError(ECONNREFUSED, ""))}
    with pytest.raises(ServerSilent, match=r"port 445: .* does not .*port 139: .* refuses"):
        await connect("server", timeout_s=3, addresses=of(ONE))


# Sending parts


async def test_parts_on_any_stream() -> None:
    send, receive = memory_stream_one_way_pair()
    await send_parts(send, [b"ab", memoryview(b"cd"), b""], ignored)
    assert await receive.receive_some() == b"abcd"


async def test_parts_longer_and_more_than_the_kernel_takes() -> None:
    ours, theirs = pair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    parts = [bytes([n % 251]) * (n % 97) for n in range(3000)] + [b"long" * 9000, b"end"]
    got, moves = bytearray(), [0]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_parts, ours, parts, lambda: moves.append(1))
        while len(got) < sum(map(len, parts)):
            got += await theirs.receive_some(5000)
    assert bytes(got) == b"".join(parts)
    assert len(moves) > 3, "each time the kernel took some"
    await send_parts(ours, [], ignored)
    await send_parts(ours, [b""], ignored)
    await theirs.aclose()
    with pytest.raises(OSError, match="Broken pipe"):
        await send_parts(ours, [b"x"], ignored)
    await ours.aclose()


async def test_what_the_kernel_takes_at_once_and_what_is_left() -> None:
    ours, theirs = pair()
    assert send_now(ours, [b"ab", b"", memoryview(b"cd")]) == []
    assert await theirs.receive_some() == b"abcd"
    parts: list[bytes | memoryview] = [b"first", bytes(1 << 26), b"end"]
    rest = send_now(ours, parts)
    assert len(rest) == 2, "the socket cannot hold as much"
    assert send_now(ours, rest) is rest, "it is full"
    await theirs.aclose()
    await ours.aclose()
    assert send_now(ours, rest) is rest, "it is closed"
    assert send_now(memory_stream_one_way_pair()[0], rest) is rest, "it is no socket"
