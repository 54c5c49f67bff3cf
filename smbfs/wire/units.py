"""Small values that look different on the wire: times, GUIDs, SIDs and file names.

All names of files are encoded and decoded here and nowhere else.  A name from the kernel is bytes
(usually UTF-8), one on the wire is UTF-16 in which Windows forbids some characters, so `NameMap`
moves those into the private use area.  Rule easily broken: no two names may meet.  What would
come back as another name is refused with EILSEQ, and what comes from a server, however odd, never
raises here and never turns into ".", ".." or a name with "/".
"""

from __future__ import annotations

import re
import struct
import uuid
from enum import Enum
from errno import EILSEQ, EINVAL, ENAMETOOLONG

from smbfs.wire.codec import Blob, WireError

# FILETIME, [MS-DTYP] 2.3.3: 100 ns since 1601-01-01 UTC, a signed 64-bit number.

TICK_NS = 100
EPOCH = 116_444_736_000_000_000  # 1970-01-01 as FILETIME
FILETIME_MAX = (1 << 63) - 1  # in the year 30828
UNCHANGED = 0  # in SET_INFO: leave this time alone, [MS-FSCC] 2.4.7
FROZEN = (1 << 64) - 1  # in SET_INFO, "-1": do not update it through this handle any more


def filetime_to_ns(filetime: int) -> int:
    """Turn a FILETIME, signed or unsigned, into nanoseconds since 1970 (negative before that).

    Never raises: a negative FILETIME (2**63 and above, as unsigned) is no time and becomes the
    beginning of 1601, as 0 does; a caller that means something else by 0 asks first.
    """
    if not 0 <= filetime <= FILETIME_MAX:
        filetime = 0
    return (filetime - EPOCH) * TICK_NS


def ns_to_filetime(ns: int) -> int:
    """Turn nanoseconds since 1970 into a FILETIME, rounded down.

    Clamped to 1..FILETIME_MAX, since 0 and the negatives are orders in SET_INFO and not times.
    """
    return min(max(ns // TICK_NS + EPOCH, 1), FILETIME_MAX)


# GUIDs and SIDs, [MS-DTYP] 2.3.4 and 2.4.2.


def guid_to_text(data: Blob) -> str:
    """Show 16 wire bytes as 8-4-4-4-12 hexadecimal digits; WireError if they are not 16."""
    if len(data) != 16:
        raise WireError(f"a GUID of {len(data)} bytes")
    return str(uuid.UUID(bytes_le=bytes(data)))


def text_to_guid(text: str) -> bytes:
    """The wire form of a GUID in text; ValueError if it is none."""
    return uuid.UUID(text).bytes_le


SID_SUBAUTHORITIES = 15
_SID_TEXT = re.compile(r"S-1-(\d{1,15}|0x[0-9a-f]{1,12})((?:-\d{1,10}){0,15})", re.ASCII | re.I)


def sid_size(data: Blob, at: int = 0) -> int:
    """How many bytes the SID at ``data[at:]`` takes; WireError if it is none or incomplete."""
    if len(data) < at + 8 or data[at] != 1 or data[at + 1] > SID_SUBAUTHORITIES:
        raise WireError("not a SID")
    size = 8 + 4 * data[at + 1]
    if len(data) < at + size:
        raise WireError("SID runs past the end")
    return size


def sid_to_text(data: Blob) -> str:
    """Show a SID as S-1-...; WireError unless the bytes are exactly one."""
    if sid_size(data) != len(data):
        raise WireError("bytes after a SID")
    authority = int.from_bytes(data[2:8], "big")
    shown = str(authority) if authority < 1 << 32 else f"0x{authority:012x}"
    return "-".join(["S-1", shown, *map(str, struct.unpack_from(f"<{data[1]}I", data, 8))])


def text_to_sid(text: str) -> bytes:
    """The wire form of a SID in text; ValueError if it is none."""
    found = _SID_TEXT.fullmatch(text)
    if found is None:
        raise ValueError(f"not a SID: {text!r}")
    authority = int(found[1], 16 if found[1][:2].lower() == "0x" else 10)
    parts = [int(part) for part in found[2].split("-")[1:]]
    if authority >= 1 << 48 or any(part >= 1 << 32 for part in parts):
        raise ValueError(f"SID with a number too big: {text!r}")
    return struct.pack(f"<BB6s{len(parts)}I", 1, len(parts), authority.to_bytes(6, "big"), *parts)


# Names.  Python str is the form in between: what UTF-16 holds, lone surrogates included.

NAME_MAX = 255  # UTF-16 units in one component, on every server we know


def utf16(text: str) -> bytes:
    """Text as it goes over the wire."""
    return text.encode("utf-16-le", "surrogatepass")


def text(view: Blob) -> str:
    """Text as it came over the wire; WireError if half a character is missing."""
    if len(view) & 1:
        raise WireError("UTF-16 of an odd length")
    return str(view, "utf-16-le", "surrogatepass")


class NameMap(Enum):
    """How characters that Windows forbids in names are carried."""

    SFM = "mapposix"  # Services for Mac: what cifs.ko does by default, and macOS
    SFU = "mapchars"  # Services for Unix
    NONE = "nomapposix"


_CONTROLS = {code: 0xF000 + code for code in range(1, 0x20)}
_SFM = {**_CONTROLS, **{ord(c): 0xF020 + n for n, c in enumerate('"*:<>?\\|')}}
_SFM_LAST = {" ": "\uf028", ".": "\uf029"}  # Windows drops these at the end, and only there
_SFU = {ord(c): 0xF000 + ord(c) for c in ":?*<>|"}
_TABLES: dict[NameMap, dict[int, int]] = {NameMap.SFM: _SFM, NameMap.SFU: _SFU, NameMap.NONE: {}}
_BACK = {names: {there: here for here, there in t.items()} for names, t in _TABLES.items()}
_SFM_LAST_BACK = {there: here for here, there in _SFM_LAST.items()}

# What every map leaves as it is: ASCII without what some of them map; "." and ".." end in a dot.
_PLAIN = re.compile(rb"[0-9A-Za-z !#$%&'()+,.;=@\[\]^_`{}~-]*[0-9A-Za-z!#$%&'()+,;=@\[\]^_`{}~-]")

# UTF-8 of a lone surrogate, which no decoder takes, as it looks after surrogateescape.
_ESCAPED_SURROGATE = re.compile("\udced([\udca0-\udcbf])([\udc80-\udcbf])")


def to_wire(name: bytes, names: NameMap) -> str:
    """Turn one path component from the kernel into text as it is sent.

    Bytes that are not UTF-8 travel as lone surrogates, as Python's surrogateescape has it.  Raises
    OSError: EINVAL for what is no component (nothing, ".", "..", with "/" or NUL, or with a "\\"
    that is not mapped), ENAMETOOLONG above 255 UTF-16 units, EILSEQ for what would come back as
    another name (already with a character to which ``names`` maps another one, say).
    """
    if len(name) <= NAME_MAX and _PLAIN.fullmatch(name):
        return name.decode()  # most names are like this, and every request needs some
    wire = from_kernel(name)
    if names is NameMap.SFM and wire[-1:] in _SFM_LAST:
        wire = wire[:-1] + _SFM_LAST[wire[-1]]
    wire = wire.translate(_TABLES[names])
    if name in (b"", b".", b"..") or "\0" in wire or "/" in wire or "\\" in wire:
        raise OSError(EINVAL, "not a name on this share", name)
    if len(wire) > NAME_MAX or (not wire.isascii() and len(utf16(wire)) > 2 * NAME_MAX):
        raise OSError(ENAMETOOLONG, "name longer than 255 UTF-16 units", name)
    if (
        not name.isascii()
        and from_wire(str(utf16(wire), "utf-16-le", "surrogatepass"), names) != name
    ):
        raise OSError(EILSEQ, "name would come back as another one", name)
    return wire


def from_wire(name: str, names: NameMap) -> bytes:
    """Turn one component as it came into a name for the kernel; never raises.

    The result is "." or ".." or has a "/" only if ``name`` is or has (see `is_safe_name`).
    """
    if name.isascii():  # nothing of the private use area in it
        return name.encode()
    here = name.translate(_BACK[names])
    if names is NameMap.SFM and here[-1:] in _SFM_LAST_BACK:
        last = here[:-1] + _SFM_LAST_BACK[here[-1]]
        here = here if last in (".", "..") else last
    return to_kernel(here)


def is_safe_name(name: str) -> bool:
    """Whether a name in a listing may be shown: one component, and not too long for the kernel."""
    return (
        name not in ("", ".", "..")
        and "/" not in name
        and "\\" not in name
        and "\0" not in name
        and len(name) <= NAME_MAX
    )


def from_kernel(name: bytes) -> str:
    """Bytes as text, whatever they are: UTF-8, and what is none as lone surrogates."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return _ESCAPED_SURROGATE.sub(_surrogate, name.decode("utf-8", "surrogateescape"))


def _surrogate(found: re.Match[str]) -> str:
    """The surrogate that three escaped bytes stand for, unless it would be an escape itself."""
    code = 0xD000 | (ord(found[1]) & 0x3F) << 6 | ord(found[2]) & 0x3F
    return found[0] if 0xDC80 <= code <= 0xDCFF else chr(code)


def to_kernel(name: str) -> bytes:
    """Text as bytes, the other way round; never raises."""
    try:
        return name.encode()
    except UnicodeEncodeError:
        return b"".join(
            c.encode("utf-8", "surrogateescape" if "\udc80" <= c <= "\udcff" else "surrogatepass")
            for c in name
        )
