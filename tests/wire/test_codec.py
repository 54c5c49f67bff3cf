"""What a declaration promises: one line a field, both directions, and WireError alone."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from types import new_class
from typing import Any, ClassVar, get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smbfs.wire.codec import (
    I32,
    I64,
    U8,
    U16,
    U32,
    Blob,
    Bytes4,
    Bytes8,
    Bytes24,
    Bytes32,
    Pad,
    Structure,
    WireError,
    buffer,
    derived,
    trailing,
)
from tests.wire.test_vectors import OURS
from tests.wire.vectors import default_at, structures

STRUCTURES = sorted(
    (cls for cls in structures().values() if cls.__module__ in OURS), key=lambda cls: cls.__name__
)
UNITS = {"dialects": 2, "hash_algorithms": 2, "ciphers": 2, "signing_algorithms": 2, "locks": 24}
UNITS["compression_algorithms"] = 2
INTEGERS = {"B": 8, "H": 16, "I": 32, "Q": 64}
each = pytest.mark.parametrize("cls", STRUCTURES, ids=lambda cls: cls.__name__)


class Plain(Structure, size=9, at=0):
    """Two parts that say where they are, the second aligned and sometimes not there."""

    first_offset: U16 = derived()
    first_length: U16 = derived()
    second_offset: U8 = derived()
    _reserved: ClassVar = Pad(1)
    second_length: U8 = derived()
    first: Blob = buffer("first_offset", "first_length")
    second: Blob = buffer("second_offset", "second_length", align=4, optional=True, default=b"")


class Counted(Structure, at=0, endian=">"):
    """Arrays that follow one another, the first with a count."""

    count: U16 = derived()
    length: U16 = derived()
    items: Blob = trailing("count", unit=3)
    text: Blob = trailing("length")
    rest: Blob = trailing()


class Located(Structure, at=4):
    """A part that takes all from where it is said to begin."""

    offset: U32 = derived()
    rest: Blob = buffer("offset", "", align=8, optional=True, default=b"")


class Whole(Structure, at=0):
    """A part that takes all from where it is said to begin, and is always there."""

    offset: U8 = derived()
    rest: Blob = buffer("offset", "")


class Numbers(Structure, at=0):
    """Signed numbers, and bytes of a fixed number."""

    small: I32 = -1
    large: I64 = -2
    four: Bytes4 = b"abcd"
    eight: Bytes8
    many: Bytes24 = bytes(24)
    more: Bytes32 = bytes(32)


class Nothing(Structure, size=2, at=0):
    """A structure that is its size and no more."""

    _nothing: ClassVar = Pad(0)


def test_offsets_and_lengths_are_worked_out() -> None:
    """Each part after the one before it, the aligned one after its padding."""
    plain = Plain(first=b"abc", second=memoryview(b"de"))
    assert bytes(plain).hex(" ") == "09 00 09 00 03 00 0c 00 02 61 62 63 64 65"
    plain = Plain(first=b"ab", second=b"c")
    assert bytes(plain).hex(" ") == "09 00 09 00 02 00 0c 00 01 61 62 00 63"
    parsed = Plain.parse(memoryview(bytes(plain)))
    assert (bytes(parsed.first), bytes(parsed.second)) == (b"ab", b"c")


def test_absent_part_has_no_offset_and_no_padding() -> None:
    """Only an optional one; the other still says where it would be."""
    assert bytes(Plain(first=b"abc")).hex(" ") == "09 00 09 00 03 00 00 00 00 61 62 63"


def test_odd_size_counts_a_byte_that_must_be_there() -> None:
    """When nothing variable follows."""
    assert bytes(Plain(first=b"")).hex(" ") == "09 00 09 00 00 00 00 00 00 00"


def test_parts_are_not_copied() -> None:
    """What was given is what is sent."""
    data = memoryview(bytearray(1 << 20))
    assert Plain(first=b"a", second=data[:9]).parts()[-1].obj is data.obj  # type: ignore[union-attr]  # a view went in


def test_parsed_parts_are_views_of_the_frame() -> None:
    """And stay so however much is in them."""
    frame = memoryview(bytes(Plain(first=b"abc")))
    part = Plain.parse(frame).first
    assert isinstance(part, memoryview)
    assert part.obj is frame.obj


def test_reserved_bytes_are_ignored() -> None:
    """Zero going out, anything coming in, and never an attribute."""
    wire = bytearray(bytes(Plain(first=b"abc")))
    wire[7] = 0xEE
    parsed = Plain.parse(memoryview(wire))
    assert parsed == Plain(first=b"abc")
    assert not hasattr(parsed, "_reserved")


def test_arrays_follow_one_another() -> None:
    """A count counts pieces; what has no length takes the rest."""
    counted = Counted(items=b"abcdef", text=b"gh", rest=b"ijk")
    assert bytes(counted) == b"\0\2\0\2abcdefghijk"
    parsed = Counted.parse(memoryview(b"..." + bytes(counted)), 3)
    assert [bytes(part) for part in (parsed.items, parsed.text, parsed.rest)] == [
        b"abcdef",
        b"gh",
        b"ijk",
    ]


def test_count_beyond_the_end() -> None:
    """Counted in pieces, not in bytes."""
    with pytest.raises(WireError, match=r"Counted\.items runs past the end"):
        Counted.parse(memoryview(b"\0\2\0\0abcde"))


def test_rest_from_an_offset() -> None:
    """Offsets count from the beginning of the view; 0 says an optional part is not there."""
    assert bytes(Located(rest=b"ab")) == b"\x08\0\0\0ab"
    assert bytes(Located()) == bytes(4)
    assert bytes(Located.parse(memoryview(b"1234\x09\0\0\0abc")).rest) == b"bc"
    assert bytes(Located.parse(memoryview(bytes(4) + bytes(4) + b"abc")).rest) == b""
    assert bytes(Located.parse(memoryview(b"1234\xff\xff\xff\xffabc")).rest) == b""
    assert bytes(Whole.parse(memoryview(bytes(Whole(rest=b"ab")))).rest) == b"ab"


def test_numbers() -> None:
    """Each kind of field in its own width."""
    numbers = Numbers(eight=b"12345678", small=-3)
    assert bytes(numbers) == b"\xfd\xff\xff\xff" + b"\xfe" + b"\xff" * 7 + b"abcd12345678" + bytes(
        56
    )
    assert Numbers.parse(memoryview(bytes(numbers))).small == -3
    assert Numbers.FIXED == 80


def test_no_fields_but_a_size() -> None:
    """Such a message exists: the SET_INFO response."""
    assert bytes(Nothing()) == b"\2\0"
    Nothing.parse(memoryview(b"\2\0\xff"))


def test_forgotten_future_import() -> None:
    """Without it Python 3.14 hides the annotations, and a structure would silently be empty."""
    with pytest.raises(TypeError, match="import annotations"):
        new_class("Empty", (Structure,))


def test_truncated() -> None:
    """In the fixed part, and in a variable one."""
    wire = memoryview(bytes(Plain(first=b"abc", second=b"d")))
    with pytest.raises(WireError, match="Plain is truncated"):
        Plain.parse(wire[:8])
    with pytest.raises(WireError, match=r"Plain\.second runs past the end"):
        Plain.parse(wire[:-1])
    with pytest.raises(WireError, match="Plain is truncated"):
        Plain.parse(wire, 1000)


def test_wrong_structure_size() -> None:
    """The size says which structure it is."""
    with pytest.raises(WireError, match="Plain has StructureSize 10"):
        Plain.parse(memoryview(b"\x0a" + bytes(20)))


def test_equality() -> None:
    """Two are equal if they are the same structure with the same bytes."""
    assert Plain(first=b"a") == Plain(first=memoryview(b"a"))
    assert Plain(first=b"a") != Plain(first=b"b")
    assert Nothing() != Plain(first=b"")
    assert Nothing() != b"\2\0"


def test_repr_tells_no_content() -> None:
    """A part may be a megabyte of a file, or a token; sixteen bytes are shown."""
    shown = repr(Plain(first=b"secret" * 4, second=b"\1\2"))
    assert shown == (
        "Plain(first_offset=0, first_length=0, second_offset=0, second_length=0, "
        "first=<24 bytes>, second='0102')"
    )
    assert repr(Numbers(small=300, eight=bytes(8))).startswith("Numbers(small=0x12c, large=-2, ")


def values(cls: type[Structure]) -> st.SearchStrategy[dict[str, Any]]:
    """Anything the constructor of ``cls`` may be given."""
    hints = get_type_hints(cls, include_extras=True)
    strategies: dict[str, st.SearchStrategy[Any]] = {}
    for name in inspect.signature(cls).parameters:
        code = get_args(hints[name])[-1]
        if code in INTEGERS:
            strategies[name] = st.integers(0, 2 ** INTEGERS[code] - 1)
        elif isinstance(code, str):
            size = int(code.removesuffix("s"))
            strategies[name] = st.binary(min_size=size, max_size=size)
        else:
            unit = UNITS.get(name, 1)
            strategies[name] = st.binary(max_size=60 // unit).map(repeated(unit))
    return st.fixed_dictionaries(strategies)


def repeated(unit: int) -> Callable[[bytes], bytes]:
    """Makes whole pieces of ``unit`` bytes."""
    return lambda data: data * unit


@each
@settings(max_examples=20)
@given(data=st.data())
def test_packs_and_parses_back(cls: type[Structure], data: st.DataObject) -> None:
    """Every structure, whatever is in its fields."""
    fields = data.draw(values(cls))
    built = cls(**fields)
    wire = bytes(default_at(cls)) + bytes(built)
    assert wire[default_at(cls) :] == b"".join(built.parts())
    parsed = cls.parse(memoryview(wire))
    for name in cls.__slots__:
        assert getattr(parsed, name) == getattr(built, name), name
    assert parsed == built
    assert cls.__name__ in repr(parsed)


@each
@settings(max_examples=20)
@given(data=st.data())
def test_random_bytes(cls: type[Structure], data: st.DataObject) -> None:
    """A structure, or a WireError, and nothing else: with and without the right size before."""
    size = bytes(cls(**data.draw(values(cls))))[:2]
    wire = data.draw(st.sampled_from([b"", bytes(64), bytes(64) + size]))
    with contextlib.suppress(WireError):
        cls.parse(memoryview(wire + data.draw(st.binary(max_size=200))))
