"""Errors that say more than their status."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbfs.wire.codec import HEADER_SIZE, WireError
from smbfs.wire.error_data import (
    ErrorId,
    SymlinkErrorResponse,
    error_contexts,
    pack_error_contexts,
    pack_symlink_error,
    symlink_error,
)
from smbfs.wire.messages import ErrorResponse

TARGET, SHOWN = "\\??\\C:\\x".encode("utf-16-le"), "x".encode("utf-16-le")
SYMLINK = pack_symlink_error(TARGET, SHOWN, 10, 0)


def received(data: bytes, contexts: int = 0) -> ErrorResponse:
    """An error as it comes off the wire."""
    error = ErrorResponse(error_context_count=contexts, error_data=data)
    return ErrorResponse.parse(memoryview(bytes(HEADER_SIZE) + bytes(error)))


def test_symlink_below_311() -> None:
    """The error data is the symlink error; [MS-SMB2] 2.2.2.2.1."""
    assert SYMLINK[:4] == (len(SYMLINK) - 4).to_bytes(4, "little")
    error = symlink_error(received(SYMLINK))
    assert error is not None
    assert bytes(error.substitute_name) == TARGET
    assert bytes(error.print_name) == SHOWN
    assert (error.unparsed_path_length, error.flags) == (10, 0)
    assert error.reparse_data_length == 12 + len(TARGET + SHOWN)


def test_symlink_in_311() -> None:
    """It is wrapped in a context, which may not be the first."""
    data = pack_error_contexts([(ErrorId.SHARE_REDIRECT, b"abc"), (ErrorId.DEFAULT, SYMLINK)])
    error = symlink_error(received(data, 2))
    assert error is not None
    assert bytes(error.print_name) == SHOWN


def test_symlink_without_a_word() -> None:
    """A macOS server says nothing; so does a context about something else."""
    assert symlink_error(received(b"")) is None
    other = pack_error_contexts([(ErrorId.SHARE_REDIRECT, b"abc")])
    assert symlink_error(received(other, 1)) is None
    assert symlink_error(received(pack_error_contexts([(ErrorId.DEFAULT, b"")]), 1)) is None


def test_first_of_two() -> None:
    """If a context comes twice the first one counts."""
    data = pack_error_contexts([(0, SYMLINK), (0, pack_symlink_error(b"", b"", 0, 1))])
    error = symlink_error(received(data, 2))
    assert error is not None
    assert error.flags == 0


@pytest.mark.parametrize("at", [4, 8])
def test_not_a_symlink(at: int) -> None:
    """Another error tag, or another reparse tag."""
    wire = bytearray(SYMLINK)
    wire[at] ^= 1
    with pytest.raises(WireError, match="not a symlink error"):
        symlink_error(received(bytes(wire)))


def test_symlink_cut_short() -> None:
    """In its fixed part, and in a name."""
    with pytest.raises(WireError, match="SymlinkErrorResponse is truncated"):
        symlink_error(received(SYMLINK[:27]))
    error = symlink_error(received(SYMLINK[:-1]))
    assert error is not None
    assert bytes(error.substitute_name) == TARGET
    with pytest.raises(WireError, match="a name past the end"):
        _ = error.print_name


def test_error_contexts_are_aligned() -> None:
    """Each begins 8-aligned; the last has no padding."""
    data = pack_error_contexts([(0, b"abc"), (ErrorId.SHARE_REDIRECT, b"d")])
    assert data.hex(" ") == (
        "03 00 00 00 00 00 00 00 61 62 63 00 00 00 00 00 01 00 00 00 53 52 64 72 64"
    )
    found = error_contexts(received(data, 2))
    assert [(error_id, bytes(one)) for error_id, one in found] == [
        (0, b"abc"),
        (ErrorId.SHARE_REDIRECT, b"d"),
    ]


def test_more_contexts_than_there_are() -> None:
    """The count is only a claim."""
    with pytest.raises(WireError, match="truncated"):
        error_contexts(received(pack_error_contexts([(0, b"abc")]), 2))
    with pytest.raises(WireError, match="runs past the end"):
        error_contexts(received(b"\x09" + bytes(15), 1))


def test_no_contexts_below_311() -> None:
    """Whatever the data looks like."""
    assert error_contexts(received(SYMLINK)) == []


def test_byte_count_past_the_end() -> None:
    """Not even the error is whole."""
    with pytest.raises(WireError, match=r"ErrorResponse\.error_data runs past the end"):
        ErrorResponse.parse(memoryview(bytes(HEADER_SIZE) + b"\x09\0\0\0\x02\0\0\0a"))


@given(st.binary(max_size=80), st.integers(0, 255), st.sampled_from([b"", SYMLINK[:12]]))
def test_random_bytes(data: bytes, contexts: int, start: bytes) -> None:
    """WireError and nothing else."""
    with contextlib.suppress(WireError):
        if error := symlink_error(received(start + data, contexts)):
            _ = (error.substitute_name, error.print_name)
    with contextlib.suppress(WireError):
        SymlinkErrorResponse.parse(memoryview(data), 0)
