"""What is mounted: the server, the share, the directory in it.

Knows how people write that: ``//server/share/dir``, with backslashes, as ``smb://`` address, with
an IPv6 literal in brackets, bare, or as Windows spells it.  Knows nothing of names on the wire.

Easily broken: ``..`` never reaches the server, and a password never hides in an address.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import unquote

from smbfs.options.refusals import OptionError

LITERAL = ".ipv6-literal.net"
FORM = "Write it as //server/share or smb://server/share."


@dataclass(frozen=True, slots=True)
class Service:
    """Where the share is.  ``directory`` holds the components below the share, as typed.

    An IPv6 ``server`` has no brackets here.  ``user``, ``domain`` and ``port`` are what an
    ``smb://`` address said, and empty or 0 otherwise.
    """

    server: str
    share: str = ""
    directory: tuple[str, ...] = ()
    user: str = ""
    domain: str = ""
    port: int = 0

    def __str__(self) -> str:
        host = f"[{self.server}]" if ":" in self.server else self.server
        return "/".join(("/", host, *filter(None, (self.share,)), *self.directory))


def parse_service(text: str) -> Service:
    """Read the first word of a mount, raises OptionError; ``share`` is empty in ``//server``."""
    if any(ord(character) < 32 for character in text):
        raise OptionError("The name of the share contains a control character.")
    if re.match(r"(?i)(smb|cifs):[/\\]{2}", text):
        return from_address(text)
    if not re.match(r"[/\\]{2}", text):
        raise OptionError(f"`{text}` names no share. {FORM}")
    host, *below = text[2:].replace("\\", "/").split("/")
    return Service(server_name(host, text), *split_path(below))


def from_address(text: str) -> Service:
    """Read ``smb://[[domain;]user@]server[:port]/share/dir``, [draft-crhertel-smb-url]."""
    host, *below = (unquote(part) for part in re.split(r"[/\\]", text.partition(":")[2][2:]))
    who, _, where = host.rpartition("@")
    if ":" in who:
        raise OptionError(
            "A password in the address can be seen by others. "
            "Use a credentials file, or let smbfs ask for it."
        )
    domain, _, user = who.rpartition(";")
    port = 0
    if match := re.fullmatch(r"(\[.*\]|[^:]*):([0-9]{1,5})", where, re.ASCII):
        where, port = match[1], int(match[2])
        if not 1 <= port <= 65535:
            raise OptionError(f"`:{port}` is no port: a port is a number from 1 to 65535.")
    share, directory = split_path(below)
    return Service(server_name(where, where), share, directory, user, domain, port)


def server_name(host: str, text: str) -> str:
    """The host without brackets, Windows' spelling of IPv6 undone."""
    if host.lower().endswith(LITERAL):
        # fe80--1s4.ipv6-literal.net is fe80::1%4
        host = re.sub("[sS]", "%", host[: -len(LITERAL)].replace("-", ":"))
        return ipv6(host)
    if host.startswith("[") and host.endswith("]"):
        return ipv6(host[1:-1])
    if ":" in host:
        return ipv6(host)
    if not host:
        raise OptionError(f"`{text}` names no server. {FORM}")
    if re.search(r"[\s\[\]%;@\"<>|*?,]", host):
        raise OptionError(f"`{host}` is no server name. {FORM}")
    return host


def ipv6(text: str) -> str:
    """The address as everybody spells it."""
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise OptionError(
            f"`{text}` is no IPv6 address; a port goes into the `port=` option."
        ) from None


def split_path(parts: list[str]) -> tuple[str, tuple[str, ...]]:
    """The share and what is below it."""
    share, *below = parts or [""]
    names = tuple(filter(None, below))
    if names and not share:
        raise OptionError(f"There is no share between the server and `{names[0]}`. {FORM}")
    return share_name(share), components(names)


def share_name(name: str) -> str:
    """The share's name, unless it cannot be one, [MS-FSCC] 2.1.6."""
    if (
        name in (".", "..")
        or len(name) > 80
        or re.search(r'["/\\\[\]:|<>+=;,*?]|[\x00-\x1f]', name)
    ):
        raise OptionError(f"`{name}` is no share name. {FORM}")
    return name


def components(names: tuple[str, ...]) -> tuple[str, ...]:
    """The directory's components, none of which may climb or hide another."""
    for name in names:
        if name in (".", "..") or re.search(r"[/\\]|[\x00-\x1f]", name):
            raise OptionError(f"The directory below the share cannot contain `{name}`.")
    return names


def agrees(service: Service, other: Service) -> bool:
    """Whether both name the same place; the second may leave out the directory."""
    return (
        service.server.casefold() == other.server.casefold()
        and service.share.casefold() == other.share.casefold()
        and other.directory in ((), service.directory)
    )
