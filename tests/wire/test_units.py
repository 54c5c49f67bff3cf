"""Times, GUIDs, SIDs, and above all names: no two may meet, and none may harm."""

import contextlib
import errno

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smbfs.wire import units
from smbfs.wire.codec import WireError
from smbfs.wire.units import (
    EPOCH,
    FILETIME_MAX,
    FROZEN,
    NameMap,
    filetime_to_ns,
    from_kernel,
    from_wire,
    guid_to_text,
    is_safe_name,
    ns_to_filetime,
    sid_size,
    sid_to_text,
    text,
    text_to_guid,
    text_to_sid,
    to_kernel,
    to_wire,
    utf16,
)

SFM, SFU, NONE = NameMap.SFM, NameMap.SFU, NameMap.NONE
MAPS = pytest.mark.parametrize("names", NameMap, ids=lambda names: names.name)
YEAR_1601 = -EPOCH * 100


# Times


@pytest.mark.parametrize(
    ("filetime", "ns"),
    [
        (EPOCH, 0),
        (EPOCH + 1, 100),
        (132_539_328_000_000_000, 1_609_459_200_000_000_000),  # 2021-01-01
        (EPOCH - 10_000_000, -1_000_000_000),  # a second before 1970
        (0, YEAR_1601),
        (-1, YEAR_1601),
        (-(1 << 63), YEAR_1601),
        (FROZEN, YEAR_1601),
        (1 << 63, YEAR_1601),
        (FILETIME_MAX, (FILETIME_MAX - EPOCH) * 100),
    ],
)
def test_filetime(filetime: int, ns: int) -> None:
    assert filetime_to_ns(filetime) == ns


@pytest.mark.parametrize(
    ("ns", "filetime"),
    [
        (0, EPOCH),
        (199, EPOCH + 1),
        (-1, EPOCH - 1),
        (YEAR_1601, 1),
        (-(1 << 100), 1),
        (1 << 100, FILETIME_MAX),
    ],
)
def test_ns(ns: int, filetime: int) -> None:
    assert ns_to_filetime(ns) == filetime


@given(st.integers(1, FILETIME_MAX))
def test_times_come_back(filetime: int) -> None:
    assert ns_to_filetime(filetime_to_ns(filetime)) == filetime


@given(st.integers(-(1 << 64), 1 << 65))
def test_any_time_is_a_time(number: int) -> None:
    assert YEAR_1601 <= filetime_to_ns(number) <= FILETIME_MAX * 100
    assert 1 <= ns_to_filetime(number) <= FILETIME_MAX


# GUIDs and SIDs


def test_guid() -> None:
    # the POSIX negotiate context: 93 AD 25 50 9C B4 11 E7 B4 23 83 DE 96 8B CD 7C on the wire
    wire = bytes.fromhex("93ad25509cb411e7b42383de968bcd7c")
    assert guid_to_text(wire) == "5025ad93-b49c-e711-b423-83de968bcd7c"
    assert text_to_guid("5025AD93-B49C-E711-B423-83DE968BCD7C") == wire


@pytest.mark.parametrize("data", [b"", bytes(15), bytes(17)])
def test_no_guid(data: bytes) -> None:
    with pytest.raises(WireError):
        guid_to_text(data)


def test_no_guid_text() -> None:
    with pytest.raises(ValueError, match="badly formed"):
        text_to_guid("x")


SIDS = {
    "S-1-0": "01 00 000000000000",
    "S-1-1-0": "01 01 000000000001 00000000",
    "S-1-5-32-544": "01 02 000000000005 20000000 20020000",
    "S-1-22-1-1000": "01 02 000000000016 01000000 e8030000",
    "S-1-5-88-3-33188": "01 03 000000000005 58000000 03000000 a4810000",
    "S-1-5-21-1-4294967295-500": "01 04 000000000005 15000000 01000000 ffffffff f4010000",
    "S-1-0x0123456789ab-7": "01 01 0123456789ab 07000000",
}


@pytest.mark.parametrize(("shown", "wire"), SIDS.items())
def test_sid(shown: str, wire: str) -> None:
    data = bytes.fromhex(wire)
    assert sid_to_text(data) == sid_to_text(memoryview(data)) == shown
    assert text_to_sid(shown) == data
    assert sid_size(b"ab" + data + b"more", 2) == len(data)


@pytest.mark.parametrize(
    "wire",
    [
        "",
        "01",
        "01 01 000000000001",
        "01 01 000000000001 000000",
        "02 00 000000000000",
        "01 10" + "00" * 70,
        "01 00 000000000000 00",
    ],
)
def test_no_sid(wire: str) -> None:
    with pytest.raises(WireError):
        sid_to_text(bytes.fromhex(wire))


@pytest.mark.parametrize(
    "shown",
    [
        "",
        "S-1",
        "S-2-5",
        "S-1-5-",
        "S-1-5-x",
        "S-1-5-4294967296",
        "S-1-999999999999999",
        "S-1-5" + "-1" * 16,
        "S-1-5-1\n",
        "S-1-5-\u0661",
    ],
)
def test_no_sid_text(shown: str) -> None:
    with pytest.raises(ValueError, match="SID"):
        text_to_sid(shown)


@given(st.binary(max_size=80))
def test_any_bytes_as_sid(data: bytes) -> None:
    try:
        shown = sid_to_text(data)
    except WireError:
        return
    assert text_to_sid(shown) == data


# UTF-16


def test_utf16() -> None:
    assert utf16("aé😀") == bytes.fromhex("6100 e900 3dd8 00de")
    assert text(memoryview(bytes.fromhex("6100 e900 3dd8 00de"))) == "aé😀"
    assert text(b"") == ""
    with pytest.raises(WireError):
        text(b"a\0b")


@given(st.binary(max_size=40).map(lambda data: data * 2))
@example(b"\x00\xd8")  # half a pair, at the end
@example(b"\x00\xdc\x00\xd8")
def test_any_utf16_comes_back(data: bytes) -> None:
    assert utf16(text(data)) == data


# Names


@pytest.mark.parametrize(
    ("names", "here", "wire"),
    [
        (SFM, b"plain.txt", "plain.txt"),
        (SFM, b'"*:<>?\\|', "\uf020\uf021\uf022\uf023\uf024\uf025\uf026\uf027"),
        (SFM, b"\x01\x1f", "\uf001\uf01f"),
        (SFM, b"\t\n\r", "\uf009\uf00a\uf00d"),
        (SFM, b"end ", "end\uf028"),
        (SFM, b"end.", "end\uf029"),
        (SFM, b"end. ", "end.\uf028"),  # the last one only, as in cifs.ko
        (SFM, b"a b.c", "a b.c"),
        (SFM, b" ", "\uf028"),
        (SFM, b"...", "..\uf029"),
        (SFM, b". ", ".\uf028"),
        (SFM, "grün:1".encode(), "grün\uf0221"),
        (SFU, b":?*<>|", "\uf03a\uf03f\uf02a\uf03c\uf03e\uf07c"),
        (SFU, b'end. "', 'end. "'),
        (SFU, b"end.", "end."),
        (NONE, b"a:b*", "a:b*"),
        (SFM, b"\xff", "\udcff"),
        (SFM, b"caf\xe9", "caf\udce9"),
        (SFM, b"\xed\xa0\x80", "\ud800"),  # a lone surrogate of the server's, as it was shown
        (SFM, "\U0001f600".encode(), "\U0001f600"),
        (SFM, b"\xef\x80\xa8x", "\uf028x"),  # not the last: means itself
        (SFU, b"\xef\x80\xa2", "\uf022"),  # no code point of SFU's
    ],
)
def test_a_name(names: NameMap, here: bytes, wire: str) -> None:
    assert to_wire(here, names) == wire
    assert from_wire(wire, names) == here


@pytest.mark.parametrize(
    ("names", "here", "number"),
    [
        (SFM, b"", errno.EINVAL),
        (SFM, b".", errno.EINVAL),
        (SFM, b"..", errno.EINVAL),
        (NONE, b"..", errno.EINVAL),
        (SFM, b"a/b", errno.EINVAL),
        (SFM, b"a\0", errno.EINVAL),
        (SFU, b"a\\b", errno.EINVAL),  # would be a path
        (NONE, b"..\\b", errno.EINVAL),
        (SFM, "a\uf022b".encode(), errno.EILSEQ),  # would come back as a:b
        (SFM, "a\uf028".encode(), errno.EILSEQ),
        (SFU, "a\uf03a".encode(), errno.EILSEQ),
        (SFM, b"\xed\xa0\x80\xed\xb0\x80", errno.EILSEQ),  # two halves would make a whole
        (SFM, b"a" * 256, errno.ENAMETOOLONG),
        (SFM, "😀".encode() * 128, errno.ENAMETOOLONG),
        (SFM, b"\xff" * 256, errno.ENAMETOOLONG),
    ],
)
def test_a_name_refused(names: NameMap, here: bytes, number: int) -> None:
    with pytest.raises(OSError, match=r".") as caught:
        to_wire(here, names)
    assert caught.value.errno == number


def test_the_longest_names() -> None:
    for name in (b"a" * 255, "é".encode() * 255, "😀".encode() * 127 + b"a", b"\xff" * 255):
        assert len(utf16(to_wire(name, SFM))) == 510


@MAPS
@given(here=st.binary(max_size=20) | st.text(max_size=20).map(str.encode))
@example(here="\uf029".encode())
@example(here=".\uf029".encode())
@example(here=b"\xed\xb3\xbf")
@example(here=b"\xed\xa0\x80\x80")
def test_a_name_comes_back_or_is_refused(names: NameMap, here: bytes) -> None:
    try:
        wire = to_wire(here, names)
    except OSError:
        return
    assert from_wire(text(utf16(wire)), names) == here
    assert not set(wire) & set("/\\\0")


ORDINARY = st.text(
    st.characters(exclude_categories=["Cs", "Co"], exclude_characters="/\0"),
    min_size=1,
    max_size=60,
).filter(lambda name: name not in (".", ".."))


@given(ORDINARY)
def test_an_ordinary_name_is_never_refused(name: str) -> None:
    wire = to_wire(name.encode(), SFM)
    assert not set(wire) & {*'"*:<>?\\|', *map(chr, range(32))}
    assert wire[-1] not in " ."
    assert from_wire(wire, SFM) == name.encode()


@given(st.binary(min_size=1, max_size=30).filter(lambda name: not set(name) & set(b"/\0\\")))
def test_two_names_never_meet(name: bytes) -> None:
    other = bytes([*name[:-1], name[-1] ^ 0x80])
    with contextlib.suppress(OSError):
        assert to_wire(name, SFM) != to_wire(other, SFM)


@MAPS
@given(wire=st.text(st.characters(), max_size=12))
@example(wire=".\uf029")
@example(wire="\uf029")
@example(wire="\ud800a")
@example(wire="\udc2f")  # an escape of "/", were it one
def test_whatever_a_server_calls_a_file_does_no_harm(names: NameMap, wire: str) -> None:
    here = from_wire(wire, names)
    assert (b"/" in here) == ("/" in wire)
    assert (b"\0" in here) == ("\0" in wire)
    assert (here in (b"", b".", b"..")) == (wire in ("", ".", ".."))


@given(st.binary(max_size=40))
def test_bytes_as_text(data: bytes) -> None:
    assert to_kernel(from_kernel(data)) == data


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("a", True),
        ("...", True),
        ("a:b", True),
        ("\ud800", True),
        ("a" * 255, True),
        ("a" * 256, False),
        ("", False),
        (".", False),
        ("..", False),
        ("a/b", False),
        ("..\\a", False),
        ("a\0", False),
    ],
)
def test_safe_names(name: str, safe: bool) -> None:
    assert is_safe_name(name) is safe


@MAPS
@given(st.text(st.characters(max_codepoint=0x7E), min_size=1, max_size=8))
def test_what_every_map_leaves_as_it_is_takes_the_short_way(names: NameMap, here: str) -> None:
    """The short way is taken for what comes out unchanged by the long one, and for nothing else."""
    short = units._PLAIN.fullmatch(here.encode())
    changed = {*units._TABLES[NameMap.SFM], *units._TABLES[NameMap.SFU]}
    is_plain = not any(ord(one) in changed or one in "/\\\0\x7f" for one in here)
    assert bool(short) == (is_plain and here[-1] not in " .")
    if short:
        assert to_wire(here.encode(), names) == here == from_wire(here, names).decode()
