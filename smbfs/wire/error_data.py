"""What an `ErrorResponse` carries: error contexts (3.1.1), and where a symlink on the path leads.

Knows [MS-SMB2] 2.2.2.1 and 2.2.2.2; what is done about a symlink is decided far above.

Easily broken: the offsets of the two names count from the path buffer, not from the header, and
``unparsed_path_length`` counts bytes of UTF-16.
"""

from __future__ import annotations

from smbfs.wire.codec import U16, U32, Blob, Structure, WireError, derived, trailing
from smbfs.wire.messages import ErrorResponse

SYMLINK_ERROR_TAG = 0x4C4D5953  # "SYML"
SYMLINK_REPARSE_TAG = 0xA000000C  # [MS-FSCC] 2.1.2.1
SYMLINK_FLAG_RELATIVE = 0x00000001


class ErrorId:
    """What an error context holds, [MS-SMB2] 2.2.2.1."""

    DEFAULT = 0x00000000
    SHARE_REDIRECT = 0x72645253


class ErrorContext(Structure, at=0):
    """SMB2 ERROR Context Response, [MS-SMB2] 2.2.2.1."""

    error_data_length: U32 = derived()
    error_id: U32 = ErrorId.DEFAULT
    error_context_data: Blob = trailing("error_data_length")


class SymlinkErrorResponse(Structure, at=0):
    """Symbolic Link Error Response, [MS-SMB2] 2.2.2.2.1; names are UTF-16."""

    sym_link_length: U32
    sym_link_error_tag: U32 = SYMLINK_ERROR_TAG
    reparse_tag: U32 = SYMLINK_REPARSE_TAG
    reparse_data_length: U16
    unparsed_path_length: U16
    substitute_name_offset: U16
    substitute_name_length: U16
    print_name_offset: U16
    print_name_length: U16
    flags: U32
    path_buffer: Blob = trailing()

    @property
    def substitute_name(self) -> Blob:
        """Where the link leads; `WireError` if that is outside the path buffer."""
        return self._name(self.substitute_name_offset, self.substitute_name_length)

    @property
    def print_name(self) -> Blob:
        """The same as a user may read it; `WireError` if that is outside the path buffer."""
        return self._name(self.print_name_offset, self.print_name_length)

    def _name(self, offset: int, length: int) -> Blob:
        name = self.path_buffer[offset : offset + length]
        if len(name) != length:
            raise WireError("SymlinkErrorResponse has a name past the end")
        return name


def pack_error_contexts(contexts: list[tuple[int, bytes]]) -> bytes:
    """The ErrorData of a 3.1.1 error from (error id, data) pairs; each begins 8-aligned."""
    packed = b""
    for error_id, data in contexts:
        packed += bytes(-len(packed) % 8)
        packed += bytes(ErrorContext(error_id=error_id, error_context_data=data))
    return packed


def error_contexts(response: ErrorResponse) -> list[tuple[int, memoryview]]:
    """The (error id, data) pairs of a 3.1.1 error; none if it is of another dialect."""
    view, at, found = memoryview(response.error_data), 0, []
    for _ in range(response.error_context_count):
        context = ErrorContext.parse(view, at)
        found.append((context.error_id, memoryview(context.error_context_data)))
        at += ErrorContext.FIXED + context.error_data_length
        at += -at % 8
    return found


def pack_symlink_error(substitute: bytes, shown: bytes, unparsed: int, flags: int) -> bytes:
    """The error data of STOPPED_ON_SYMLINK; ``unparsed`` bytes of the path are still to go."""
    path = substitute + shown
    error = SymlinkErrorResponse(
        sym_link_length=SymlinkErrorResponse.FIXED - 4 + len(path),
        reparse_data_length=12 + len(path),
        unparsed_path_length=unparsed,
        substitute_name_offset=0,
        substitute_name_length=len(substitute),
        print_name_offset=len(substitute),
        print_name_length=len(shown),
        flags=flags,
        path_buffer=path,
    )
    return bytes(error)


def symlink_error(response: ErrorResponse) -> SymlinkErrorResponse | None:
    """What STOPPED_ON_SYMLINK says of the link, or None: a macOS server says nothing.

    Raises WireError if it says something else.
    """
    data = memoryview(response.error_data)
    if response.error_context_count:
        contexts = error_contexts(response)
        data = next(
            (found for error_id, found in contexts if error_id == ErrorId.DEFAULT), data[:0]
        )
    if not data:
        return None
    error = SymlinkErrorResponse.parse(data, 0)
    if (error.sym_link_error_tag, error.reparse_tag) != (SYMLINK_ERROR_TAG, SYMLINK_REPARSE_TAG):
        raise WireError(f"not a symlink error but {error.sym_link_error_tag:#x}")
    return error
