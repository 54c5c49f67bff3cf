"""How a running mount is: what `smbfs status` is told, as plain values that JSON can carry.

Knows every room's own words for its state and asks the server nothing.  Names of fields are a
promise to scripts; they are in the man page.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import trio

import smbfs
from smbfs.engine.dialect import Capabilities
from smbfs.engine.link import Link
from smbfs.engine.session import Tree
from smbfs.engine.states import LinkState
from smbfs.options import MountOptions
from smbfs.vfs.counts import counts
from smbfs.vfs.filesystem import Filesystem
from smbfs.wire.constants import Cipher, Dialect, SigningAlgorithm

REMEMBERED = 20  # warnings and errors
DIALECTS = {
    Dialect.SMB_2_0_2: "2.0.2",
    Dialect.SMB_2_1: "2.1",
    Dialect.SMB_3_0: "3.0",
    Dialect.SMB_3_0_2: "3.0.2",
    Dialect.SMB_3_1_1: "3.1.1",
}
SIGNING = {
    SigningAlgorithm.HMAC_SHA256: "HMAC-SHA256",
    SigningAlgorithm.AES_CMAC: "AES-128-CMAC",
    SigningAlgorithm.AES_GMAC: "AES-128-GMAC",
}
CIPHERS = {
    Cipher.AES_128_CCM: "AES-128-CCM",
    Cipher.AES_128_GCM: "AES-128-GCM",
    Cipher.AES_256_CCM: "AES-256-CCM",
    Cipher.AES_256_GCM: "AES-256-GCM",
}
STATES = {
    LinkState.CLOSED: "connecting",
    LinkState.CONNECTING: "connecting",
    LinkState.READY: "connected",
    LinkState.LOST: "lost",  # the next call connects
    LinkState.ENDED: "ending",
}


class Recent(logging.Handler):
    """The last warnings and errors of this process, for who asks."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: deque[dict[str, str]] = deque(maxlen=REMEMBERED)

    def emit(self, record: logging.LogRecord) -> None:
        """Remember one."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="seconds")
        self.said.append({"at": at, "level": record.levelname, "message": record.getMessage()})


@dataclass(slots=True)
class Reporter:
    """Who tells how one mount is."""

    options: MountOptions
    mountpoint: str
    link: Link
    filesystem: Filesystem
    recent: Recent = field(default_factory=Recent)
    began_s: float = field(default_factory=trio.current_time)

    def status(self) -> dict[str, object]:
        """How the mount is now."""
        link, tree = self.link, self.link.live
        state = "away" if link.trouble else STATES[link.machine.state]
        return {
            "version": smbfs.__version__,
            "pid": os.getpid(),
            "mountpoint": self.mountpoint,
            "share": str(self.options.service),
            "mounted_since": _at(self.began_s),
            "state": state,
            "since": _at(link.since),
            "trouble": link.trouble,
            "connections": link.generation,
            "connection": None if tree is None else _connection(tree),
            "files": counts(self.filesystem.volume, self.filesystem.content),
            "last_errors": list(self.recent.said),
        }


def _at(moment_s: float) -> str:
    ago = timedelta(seconds=max(0.0, trio.current_time() - moment_s))
    return (datetime.now(UTC) - ago).isoformat(timespec="seconds")


def _connection(tree: Tree) -> dict[str, object]:
    session, capabilities = tree.session, tree.session.capabilities
    exchange, guard = session.connection.exchange, session.guard
    is_sealed = tree.seal or guard.must_seal
    return {
        "dialect": DIALECTS.get(capabilities.dialect, hex(capabilities.dialect)),
        "signing": _signing(capabilities) if guard.signer is not None else "none",
        "encryption": CIPHERS.get(capabilities.cipher, "none") if is_sealed else "none",
        "guest": session.is_guest,
        "continuously_available": tree.is_continuous,
        "requests_under_way": len(exchange.outstanding),
        "credits": {"free": exchange.credits.available, "all": exchange.credits.window},
        "max_read": capabilities.max_read,
        "max_write": capabilities.max_write,
    }


def _signing(capabilities: Capabilities) -> str:
    """How messages are signed, which is negotiated in 3.1.1 only."""
    if capabilities.dialect < Dialect.SMB_3_0:
        return SIGNING[SigningAlgorithm.HMAC_SHA256]
    if capabilities.dialect < Dialect.SMB_3_1_1:
        return SIGNING[SigningAlgorithm.AES_CMAC]
    return SIGNING.get(capabilities.signing_algorithm, hex(capabilities.signing_algorithm))
