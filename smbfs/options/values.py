"""How the value of an option is read: one small parser for each kind of value.

A parser takes the text after the ``=`` and gives a plain value.  What it cannot read it refuses
with ``ValueError``, whose text says which values are allowed; a value with a sentence of its own
is refused with `OptionError`.  Knows nothing of names, order or defaults.

Easily broken: a mode is octal even without a leading zero, as nobody means 01363 by 755.
"""

from __future__ import annotations

import grp
import ipaddress
import math
import os
import pwd
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from smbfs.options import refusals
from smbfs.options.refusals import OptionError

Parser = Callable[[str], Any]

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
UNITS = {"": 1, "K": KIB, "M": MIB, "G": GIB}
NOBODY = 2**32 - 1  # (uid_t) -1 means "no change" to the kernel
EPOCH = datetime(1601, 1, 1, tzinfo=UTC)  # of FILETIME, [MS-DTYP] 2.3.3

DEFAULT_DIALECTS = (0x0210, 0x0300, 0x0302, 0x0311)
DIALECTS = {
    "2.0": (0x0202,),
    "2.1": (0x0210,),
    "3.0": (0x0300,),
    "3.02": (0x0302,),
    "3.0.2": (0x0302,),
    "3.1.1": (0x0311,),
    "3.11": (0x0311,),
    "3": (0x0300, 0x0302, 0x0311),
    "default": DEFAULT_DIALECTS,
}
LOGINS = {  # sec=: the mechanism, and whether it requires signing
    "none": ("none", False),
    "ntlmssp": ("ntlmssp", False),
    "ntlmsspi": ("ntlmssp", True),
    "ntlmv2": ("ntlmssp", False),
    "nontlm": ("ntlmssp", False),
    "ntlmv2i": ("ntlmssp", True),
    "krb5": ("krb5", False),
    "krb5i": ("krb5", True),
    "krb5p": ("krb5", False),
}
WEAK = ("ntlm", "ntlmi", "lanman")


@dataclass(frozen=True, slots=True)
class LogTarget:
    """What is logged, and where: ``level`` as in ``log=``; an empty ``file`` is the journal."""

    level: str = "warn"
    file: str = ""


def size(low: int, high: int) -> Parser:
    """Bytes, optionally with K, M or G."""
    allowed = f"a size from {spelt(low)} to {spelt(high)}, such as 65536, 64K or 1M"

    def read(value: str) -> int:
        match = re.fullmatch(r"([0-9]{1,18})([KMG]?)", value.upper(), re.ASCII)
        if match is None:
            raise ValueError(allowed)
        return within(int(match[1]) * UNITS[match[2]], low, high, allowed)

    return read


def spelt(count: int) -> str:
    """A size as a person writes it."""
    for unit in "GMK":
        if count and count % UNITS[unit] == 0:
            return f"{count // UNITS[unit]}{unit}"
    return str(count)


def number(low: int, high: int, unit: str = "") -> Parser:
    """A whole decimal number."""
    allowed = f"a whole number from {low} to {high}{unit and ' ' + unit}"

    def read(value: str) -> int:
        if re.fullmatch(r"[0-9]{1,20}", value, re.ASCII) is None:
            raise ValueError(allowed)
        return within(int(value), low, high, allowed)

    return read


def within(count: int, low: int, high: int, allowed: str) -> int:
    """The number itself if it is in range."""
    if not low <= count <= high:
        raise ValueError(allowed)
    return count


def seconds(low: int, high: int) -> Parser:
    """Whole seconds, as a float."""
    read = number(low, high, "seconds")
    return lambda value: float(read(value))


def limit_s(value: str) -> float:
    """A deadline in seconds; 0 is none at all, which is infinity."""
    return seconds(0, 3600)(value) or math.inf


def octal(value: str) -> int:
    """A file mode."""
    if re.fullmatch(r"[0-7]{1,5}", value, re.ASCII) is None or int(value, 8) > 0o7777:
        raise ValueError("an octal mode such as 0755 or 644")
    return int(value, 8)


def identity(kind: str, find: Callable[[str], int]) -> Parser:
    """A user or group by number or by name."""

    def read(value: str) -> int:
        if re.fullmatch(r"[0-9]{1,20}", value, re.ASCII):
            return within(int(value), 0, NOBODY - 1, f"a {kind} name or number")
        try:
            return find(value)
        except KeyError:
            raise ValueError(f"a {kind} that this machine knows, or a number") from None

    return read


user = identity("user", lambda name: pwd.getpwnam(name).pw_uid)
group = identity("group", lambda name: grp.getgrnam(name).gr_gid)


def choice(*allowed: str) -> Parser:
    """One of these words."""

    def read(value: str) -> str:
        if value not in allowed:
            raise ValueError(listed(*allowed))
        return value

    return read


def listed(*words: str) -> str:
    """The words as a phrase: one of a, b or c."""
    *most, last = (f"`{word}`" for word in words)
    return f"one of {', '.join(most)} or {last}" if most else last


def text(value: str) -> str:
    """Anything but nothing."""
    if not value or "\0" in value:
        raise ValueError("a value that is not empty")
    return value


def anything(value: str) -> str:
    """Anything, nothing included."""
    return value


def netbios_name(value: str) -> str:
    """What fits into a NetBIOS name, [RFC 1001] 14.1: 15 characters."""
    if not 1 <= len(value.encode(errors="replace")) <= 15:
        raise ValueError("a name of 1 to 15 characters")
    return value


def address(value: str) -> str:
    """An IPv4 or IPv6 address, with its zone if it has one; brackets are tolerated."""
    bare = value[1:-1] if value.startswith("[") and value.endswith("]") else value
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        raise ValueError("an IPv4 or IPv6 address") from None


def path(value: str) -> str:
    """A file of this machine; made absolute, since a daemon has no working directory."""
    return os.path.abspath(os.path.expanduser(text(value)))


def absolute(value: str) -> str:
    """A path that is absolute already."""
    if not value.startswith("/") or "\0" in value:
        raise ValueError("an absolute path")
    return value


def credentials(value: str) -> str:
    """A file, or another place that `smbfs.credentials` reads: ``fd:N``, ``systemd:NAME``."""
    return value if re.match(r"(fd|systemd|secret-service):", value) else path(value)


def dialects(value: str) -> tuple[int, ...]:
    """The dialects to offer."""
    if value == "1.0":
        raise OptionError(refusals.SMB1)
    if value not in DIALECTS:
        raise ValueError(listed(*DIALECTS))
    return DIALECTS[value]


def helper_version(value: str) -> str:
    """``ver=1``, which old helpers pass."""
    if value != "1":
        raise OptionError(refusals.OLD_VERSION.format(value=value))
    return value


def login(value: str) -> tuple[str, bool, bool]:
    """``sec=``: the mechanism, whether it requires signing, whether it requires encryption."""
    if value in WEAK:
        raise OptionError(refusals.WEAK_LOGIN)
    if value not in LOGINS:
        raise ValueError(listed("none", "ntlmssp", "ntlmsspi", "krb5", "krb5i", "krb5p"))
    return (*LOGINS[value], value == "krb5p")


def charset(value: str) -> str:
    """The encoding of file names, which is UTF-8."""
    if value.lower() not in ("utf8", "utf-8", "default"):
        raise OptionError(refusals.CHARSET.format(value=value))
    return "utf8"


def id_map(value: str) -> str:
    """Where identities of Windows are looked up."""
    known = ("auto", "sssd", "winbind", "none")
    if value not in known and not re.match(r"file:.", value):
        raise ValueError(listed(*known, "file:PATH"))
    return value


def moment(value: str) -> int:
    """A time in the past as FILETIME: the number itself, ``@GMT-...``, or an ISO time."""
    if re.fullmatch(r"[0-9]{1,20}", value, re.ASCII):
        return within(int(value), 1, 2**63 - 1, "100 ns units since 1601")
    try:
        if value.startswith("@GMT-"):
            when = datetime.strptime(value, "@GMT-%Y.%m.%d-%H.%M.%S").replace(tzinfo=UTC)
        else:
            when = datetime.fromisoformat(value).astimezone(UTC)
        return within((when - EPOCH) // timedelta(microseconds=1) * 10, 1, 2**63 - 1, "")
    except (ValueError, OverflowError):
        raise ValueError(
            "@GMT-2026.08.01-04.00.00, 2026-08-01T04:00 or 100 ns units since 1601"
        ) from None


def log_target(value: str) -> LogTarget:
    """``level`` or ``level:FILE``."""
    level, colon, file = value.partition(":")
    choice("error", "warn", "info", "debug")(level)
    return LogTarget(level, path(file) if colon else "")


def file_or_none(value: str) -> str:
    """A file, or the word ``none``, which becomes nothing."""
    return "" if value == "none" else path(value)
