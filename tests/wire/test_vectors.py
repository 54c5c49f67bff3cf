"""The stored messages, both ways; and what remains of them once somebody has been at them."""

from __future__ import annotations

import contextlib
import inspect

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smbfs.wire.codec import WireError
from tests.wire.vectors import Vector, default_at, load, structures

VECTORS = load()
OURS = {
    "smbfs.wire.header",
    "smbfs.wire.messages",
    "smbfs.wire.file_messages",
    "smbfs.wire.query_messages",
    "smbfs.wire.error_data",
    "smbfs.wire.contexts",
    "smbfs.wire.netbios",
}
each = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)


def test_every_message_has_a_vector() -> None:
    """A structure nobody wrote down by hand is one nobody checked."""
    ours = {name for name, cls in structures().items() if cls.__module__ in OURS}
    assert ours <= {vector.cls.__name__ for vector in VECTORS}


@each
def test_parses(vector: Vector) -> None:
    """Every field has the value the file says, and no attribute goes unsaid."""
    parsed = vector.cls.parse(vector.message)
    for name, value in vector.fields.items():
        found = getattr(parsed, name)
        assert (found if isinstance(found, int) else bytes(found)) == value, name
    unsaid = {name for name in vector.cls.__slots__ if name not in vector.fields}
    assert not any(getattr(parsed, name) for name in unsaid), unsaid


@each
def test_packs_what_it_parsed(vector: Vector) -> None:
    """Servers may leave out the one byte an odd StructureSize counts; we do not."""
    packed = bytes(vector.cls.parse(vector.message))
    assert packed in (vector.wire, vector.wire + b"\0")


@each
def test_packs_from_its_fields(vector: Vector) -> None:
    """Given the values alone, offsets and lengths come out as in the file."""
    parameters = inspect.signature(vector.cls).parameters.values()
    needed = {one.name: b"" for one in parameters if one.default is one.empty}
    said = {one.name: vector.fields[one.name] for one in parameters if one.name in vector.fields}
    built = vector.cls(**(needed | said))
    assert bytes(built) in (vector.wire, vector.wire + b"\0")
    assert built == vector.cls.parse(vector.message)


@each
def test_truncated(vector: Vector) -> None:
    """Cut anywhere, it is either still a structure or a WireError; never anything else."""
    at = default_at(vector.cls)
    for length in range(len(vector.wire)):
        with contextlib.suppress(WireError):
            vector.cls.parse(vector.message[: at + length])
    if vector.cls.FIXED:
        with pytest.raises(WireError):
            vector.cls.parse(vector.message[: at + vector.cls.FIXED - 1])


@each
@settings(max_examples=20)
@given(data=st.data())
def test_mutated(vector: Vector, data: st.DataObject) -> None:
    """Any bytes changed to any others: a structure or a WireError."""
    wire, at = bytearray(vector.message), default_at(vector.cls)
    place = st.integers(at, len(wire) - 1)
    for where, value in data.draw(st.lists(st.tuples(place, st.integers(0, 255)), max_size=6)):
        wire[where] = value
    with contextlib.suppress(WireError):
        vector.cls.parse(memoryview(wire))
