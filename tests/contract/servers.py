"""The servers of the contract: the fake one and a private Samba, looked at in the same way.

A `Bench` is one connected share and what a test needs behind the client's back.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import trio

from smbfs.auth import Login, Secret
from smbfs.engine.dialect import DIALECTS_FOR, Policy
from smbfs.engine.link import Link, Target
from smbfs.engine.share import Share
from smbfs.engine.transport import connect
from smbfs.wire.constants import Cipher, SigningAlgorithm
from tests.fake import FakeServer, Volume, fake_link
from tests.samba import Samba


@dataclass(frozen=True)
class Manner:
    """How client and server talk: one row of the contract's matrix."""

    name: str
    policy: Policy

    def __str__(self) -> str:
        return self.name


def _manner(name: str, vers: str, **more: object) -> Manner:
    return Manner(name, Policy(dialects=DIALECTS_FOR[vers], **more))  # type: ignore[arg-type]  # keywords of Policy


USUAL = _manner("3.1.1-gmac", "3.1.1")
MANNERS = [
    _manner("2.0.2-hmac", "2.0"),
    _manner("2.1-hmac", "2.1"),
    _manner("3.0-cmac", "3.0"),
    _manner("3.0.2-sealed-ccm", "3.0.2", seal=True),
    USUAL,
    _manner("3.1.1-cmac", "3.1.1", signing_algorithms=(SigningAlgorithm.AES_CMAC,)),
    _manner("3.1.1-sealed-gcm", "3.1.1", seal=True),
    _manner("3.1.1-sealed-256", "3.1.1", seal=True, ciphers=(Cipher.AES_256_GCM,)),
    _manner("3.1.1-unsigned", "3.1.1", sign=False),
]


class Place(Protocol):
    """The share's files as others see them; paths have "/"."""

    def put(self, path: str, data: bytes = b"") -> object:
        """Write a file."""

    def mkdir(self, path: str) -> object:
        """Make a directory."""

    def read(self, path: str) -> bytes:
        """What a file holds."""

    def names(self, path: str = "") -> list[str]:
        """What a directory holds, sorted."""

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""


class Disk:
    """The share of a Samba, by way of the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def put(self, path: str, data: bytes = b"") -> None:
        (self._path / path).parent.mkdir(parents=True, exist_ok=True)
        (self._path / path).write_bytes(data)

    def mkdir(self, path: str) -> None:
        (self._path / path).mkdir(parents=True, exist_ok=True)

    def read(self, path: str) -> bytes:
        return (self._path / path).read_bytes()

    def names(self, path: str = "") -> list[str]:
        return sorted(one.name for one in (self._path / path).iterdir())

    def exists(self, path: str) -> bool:
        return (self._path / path).exists()


@dataclass
class Bench:
    """One share, connected, and its files behind the client's back."""

    share: Share
    place: Place
    link: Link
    fake: FakeServer | None = None


class Served:
    """A server of the contract; ``bench`` connects anew for each test."""

    def __init__(self, name: str, samba: Samba | None) -> None:
        self.name = name
        self.samba = samba

    @asynccontextmanager
    async def bench(self, nursery: trio.Nursery, manner: Manner) -> AsyncIterator[Bench]:
        """Connect to an empty share in this manner."""
        if self.samba is None:
            volume = Volume(reparse=False)  # as Samba without symbolic links of its own
            async with fake_link(nursery, share=volume, policy=manner.policy) as (link, server):
                share = Share(link)
                await share.connect()
                yield Bench(share, volume, link, server)
                assert not server.open_handles
            return
        with self._emptied(self.samba) as path:
            link = link_to(self.samba, "share", manner.policy, nursery)
            share = Share(link)
            await share.connect()
            try:
                yield Bench(share, Disk(path), link)
            finally:
                await link.close()

    @contextlib.contextmanager
    def _emptied(self, samba: Samba) -> Iterator[Path]:
        place = samba["share"]
        place.empty()
        yield place.path
        place.empty()


def link_to(samba: Samba, share: str, policy: Policy, nursery: trio.Nursery) -> Link:
    """A link to one share of a private Samba."""
    login = Login(samba.user, Secret(samba.password), samba.domain)

    async def dial() -> tuple[trio.abc.Stream, bool]:
        connected = await connect(samba.host, samba.port, timeout_s=5)
        return connected.stream, connected.netbios

    return Link(Target(samba.host, share), policy, lambda: [login], dial, nursery)
