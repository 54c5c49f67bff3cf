"""Take the stored messages in tests/vectors anew, from real traffic with a private Samba.

    .venv/bin/python -m tests.wire.take_vectors

Our engine says everything once to Samba, in each dialect; a relay keeps what passes, tshark reads
it, and the messages replace the files of the same name.  What no server says today keeps its
hand-derived file.  Each new file is judged before it is written: our fields have the values that
tshark reads, and packing what was parsed gives the same bytes.
"""

from __future__ import annotations

import logging
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from smbfs.wire import messages
from smbfs.wire.codec import HEADER_SIZE, Structure, WireError
from smbfs.wire.contexts import (
    AllocationSize,
    CreateContext,
    DurableReconnect,
    DurableReconnectV2,
    DurableRequest,
    DurableRequestV2,
    DurableResponse,
    DurableResponseV2,
    EncryptionCapabilities,
    LeaseV1,
    LeaseV2,
    MaximalAccessRequest,
    MaximalAccessResponse,
    NegotiateContext,
    NetName,
    OnDiskIdResponse,
    PosixCreateRequest,
    PosixNegotiate,
    PreauthCapabilities,
    SigningCapabilities,
    Timewarp,
    create_contexts,
    negotiate_contexts,
)
from smbfs.wire.file_messages import CreateRequest, CreateResponse, LockElement, LockRequest
from smbfs.wire.header import (
    Command,
    Header,
    HeaderFlags,
    TransformHeader,
    parse_header,
    split_chain,
)
from smbfs.wire.status import Status
from tests.capture import Capture, Frame
from tests.samba import Samba
from tests.wire.conversation import SETTINGS, converse, greet_sealed
from tests.wire.dissect import Reading, dissect, version
from tests.wire.vectors import VECTORS, default_at, read, structures

DIALECTS = {0x0311: "3.1.1", 0x0300: "3.0", 0x0210: "2.1", 0x0202: "2.0.2"}
Class = type[Structure]
SEALED = b"\xfdSMB"
NO_HEADER = Header(command=0, message_id=0)
LONGEST = 2000  # bytes: a vector is to be read by people
NEGOTIATE_DATA: dict[int, type[Structure]] = {
    1: PreauthCapabilities,
    2: EncryptionCapabilities,
    5: NetName,
    8: SigningCapabilities,
    0x100: PosixNegotiate,
}
CREATE_DATA: dict[bytes, tuple[type[Structure], ...]] = {  # what a request has, and a response
    b"RqLs": (LeaseV1, LeaseV2),
    b"DHnQ": (DurableRequest, DurableResponse),
    b"DH2Q": (DurableRequestV2, DurableResponseV2),
    b"DHnC": (DurableReconnect,),
    b"DH2C": (DurableReconnectV2,),
    b"MxAc": (MaximalAccessRequest, MaximalAccessResponse),
    b"QFid": (OnDiskIdResponse,),
    b"AlSi": (AllocationSize,),
    b"TWrp": (Timewarp,),
    b"\x93\xad%P\x9c\xb4\x11\xe7\xb4#\x83\xde\x96\x8b\xcd|": (PosixCreateRequest,),
}


@dataclass(frozen=True)
class Piece:
    """One structure that passed: where it was said, and what tshark reads in it."""

    cls: type[Structure]
    data: bytes  # the structure, without a header
    dialect: int
    header: Header
    readings: list[Reading] = field(repr=False)  # positions count from the structure's start


# Which of several kinds a file is about, where its class does not say.
ABOUT: dict[str, Callable[[Piece, Any], bool]] = {
    "negotiate_request_311": lambda piece, body: piece.dialect == 0x0311,
    "negotiate_response_311": lambda piece, body: piece.dialect == 0x0311,
    "negotiate_request_smb2": lambda piece, body: piece.dialect == 0x0210,
    "negotiate_response_smb21": lambda piece, body: piece.dialect == 0x0210,
    "create_request": lambda piece, body: bool(body.contexts and body.name),
    "create_request_root": lambda piece, body: not body.name,
    "create_response": lambda piece, body: bool(body.contexts),
    "query_info_request": lambda piece, body: not body.input_buffer,
    "query_info_request_eas": lambda piece, body: bool(body.input_buffer),
    "ioctl_request": lambda piece, body: bool(body.input),
    "ioctl_request_empty": lambda piece, body: not body.input,
    "header_request": lambda piece, body: body.command == Command.READ and not body.flags & 1,
    "header_async_response": lambda piece, body: body.status == Status.PENDING,
    "error_response": lambda piece, body: piece.header.status == Status.OBJECT_NAME_NOT_FOUND,
    "session_setup_response": lambda piece, body: bool(body.security_buffer),
    "change_notify_response": lambda piece, body: bool(body.output_buffer),
    "query_directory_response": lambda piece, body: bool(body.output_buffer),
    "create_context": lambda piece, body: bool(body.data),
    "error_response_contexts": lambda piece, body: bool(body.error_context_count),
    "symlink_error_response": lambda piece, body: False,
}


def anything(piece: Piece, body: Any) -> bool:
    """Be content with the first of its class."""
    return True


def main() -> None:
    """Replace what can be replaced, and say what was not."""
    logging.getLogger("smbfs").setLevel(logging.ERROR)  # a connection is lost on purpose
    pieces = list(recorded())
    classes, kept, taken = structures(), list[str](), 0
    with Samba() as server:
        where = f"Samba {samba_version(server)}, read by tshark {version()}"
    for path in sorted(VECTORS.glob("*.hex")):
        cls = classes[path.read_text().splitlines()[0].removeprefix("# class: ")]
        about = ABOUT.get(path.stem, anything)
        for piece in (one for one in pieces if one.cls is cls):
            text = written(piece, path.read_text(), where)
            if about(piece, parsed(piece)) and is_good(text, path, classes):
                path.write_text(text)
                taken += 1
                break
        else:
            kept.append(path.stem)
    sys.stdout.write(f"{taken} messages taken from traffic; by hand: {', '.join(kept)}\n")


def samba_version(server: Samba) -> str:
    """The server that answered."""
    words = server.logs().split()
    return words[words.index("version") + 1] if "version" in words else ""


# What passes


def recorded() -> Iterator[Piece]:
    """Everything that is said in each dialect, taken apart."""
    with tempfile.TemporaryDirectory() as directory, Samba(SETTINGS) as server:
        for dialect in DIALECTS:
            with Capture(server.port, Path(directory) / "pcap") as capture:
                trio.run(converse, server, capture.port, dialect)
            for frame, readings in dissect(capture.frames(), Path(directory)):
                yield from messages_of(frame, readings, dialect)
        with Capture(server.port, Path(directory) / "pcap") as capture:
            trio.run(greet_sealed, server, capture.port)
        for frame, readings in dissect(capture.frames(), Path(directory)):
            if frame.data.startswith(SEALED):
                low = TransformHeader.FIXED
                inside = [one for one in readings if one.start < low]
                yield Piece(TransformHeader, frame.data[:low], 0x0311, NO_HEADER, inside)


def messages_of(frame: Frame, readings: list[Reading], dialect: int) -> Iterator[Piece]:
    """The structures of one frame."""
    start = 0
    for message in split_chain(memoryview(frame.data)):
        header = parse_header(message)
        cls = class_of(header, message)
        body = cls.parse(message)
        found: list[tuple[Class, int, int]] = [(Header, 0, HEADER_SIZE)]
        found.append((cls, HEADER_SIZE, len(bytes(body))))
        for kind, at, size in (*found, *inner_of(body, message)):
            low, high = start + at, start + at + size
            inside = [
                Reading(one.start - low, one.size, one.name, one.value)
                for one in readings
                if low <= one.start < high
            ]
            yield Piece(kind, frame.data[low:high], dialect, header, inside)
        start += len(message)


def class_of(header: Header, message: memoryview) -> Class:
    """Which structure a message is."""
    command = Command(header.command)
    is_response = bool(header.flags & HeaderFlags.RESPONSE)
    if command == Command.OPLOCK_BREAK:
        if header.message_id == 2**64 - 1:
            return type(messages.break_notification(message))
        if header.status:
            return messages.ErrorResponse
        kinds = (messages.break_acknowledgment, messages.break_response)
        return type(kinds[is_response](message))
    if not is_response:
        return messages.REQUESTS[command]
    good = {Status.SUCCESS, Status.MORE_PROCESSING_REQUIRED}
    return messages.RESPONSES[command] if header.status in good else messages.ErrorResponse


def inner_of(body: Any, message: memoryview) -> Iterator[tuple[Class, int, int]]:
    """The structures inside a message: class, place in the message, size."""
    whole = bytes(message)
    if isinstance(body, LockRequest):
        yield LockElement, whole.index(bytes(body.locks)), LockElement.FIXED
    elif isinstance(body, messages.NegotiateRequest | messages.NegotiateResponse) and body.contexts:
        at = whole.index(bytes(body.contexts))
        first = NegotiateContext.parse(memoryview(whole), at)
        yield NegotiateContext, at, NegotiateContext.FIXED + len(first.data)
        for kind, data in negotiate_contexts(memoryview(bytes(body.contexts))):
            if kind in NEGOTIATE_DATA and data:
                yield NEGOTIATE_DATA[kind], whole.index(bytes(data), at), len(data)
    elif isinstance(body, CreateRequest | CreateResponse) and body.contexts:
        yield from in_create(body, whole)


def in_create(
    body: CreateRequest | CreateResponse, whole: bytes
) -> Iterator[tuple[type[Structure], int, int]]:
    at = whole.index(bytes(body.contexts))
    first = CreateContext.parse(memoryview(whole)[at:], 0)
    if not first.next:
        yield CreateContext, at, len(bytes(body.contexts))
    for name, data in create_contexts(memoryview(bytes(body.contexts))).items():
        kinds = CREATE_DATA.get(name, ())
        is_response = isinstance(body, CreateResponse)
        if name == b"RqLs":
            kind: type[Structure] | None = kinds[len(data) == LeaseV2.FIXED]
        elif len(kinds) == 1:
            kind = None if is_response and kinds[0] is not OnDiskIdResponse else kinds[0]
        else:
            kind = kinds[is_response] if kinds else None
        if kind is not None and data:
            yield kind, whole.index(bytes(data), at), len(data)


# What is written


def parsed(piece: Piece) -> Any:
    """The structure of a piece, as the vectors' tests parse it."""
    at = default_at(piece.cls)
    return piece.cls.parse(memoryview(bytes(at) + piece.data), at)


def written(piece: Piece, template: str, where: str) -> str:
    """The file of a piece: the lines of the one before, with other bytes and values."""
    first, about, *lines = template.splitlines()
    section = about.partition(":")[0]
    said = f"SMB {DIALECTS[piece.dialect]} with {where}"
    found, at, body = [first, f"{section}: {said}"], 0, parsed(piece)
    fixed = sum(
        len(bytes.fromhex(line.partition("#")[0])) for line in lines if is_fixed(line, body)
    )
    for line in lines:
        digits, _, comment = line.partition("#")
        name, size = comment.partition("=")[0].strip(), len(bytes.fromhex(digits))
        if is_fixed(line, body) and at < fixed:
            found.append(line_of(piece, at, size, name, body))
            at += size
    for name in [one for one in body.__slots__ if not isinstance(getattr(body, one), int)]:
        value = bytes(getattr(body, name))
        place = piece.data.find(value, at)
        if value and place >= fixed:
            if place > at:
                found.append(f"{piece.data[at:place].hex(' ')}  # Padding")
            found.append(line_of(piece, place, len(value), name, body))
            at = place + len(value)
    if at < len(piece.data):
        found.append(f"{piece.data[at:].hex(' ')}  # Padding")
    return "\n".join(found) + "\n"


def is_fixed(line: str, body: Structure) -> bool:
    """Whether a line of a vector is of the fixed part."""
    digits, _, comment = line.partition("#")
    name = comment.partition("=")[0].strip()
    if not digits.strip() or name == "Padding":
        return False
    value = getattr(body, name, 0)
    return isinstance(value, int | bytes)


def line_of(piece: Piece, at: int, size: int, name: str, body: Structure) -> str:
    """One line: our bytes, our name and value, and what tshark says of these very bytes."""
    value = getattr(body, name, None)
    ours = f" = {value:#x}" if isinstance(value, int) and value > 9 else f" = {value}"
    comment = name + (ours if isinstance(value, int) else "")
    readings = [one for one in piece.readings if (one.start, one.size) == (at, size)]
    theirs = [one for one in readings if one.value and len(one.value) < 60]
    if name[:8] in ("Structur", "Reserved", "Padding"):
        theirs = []
    line = f"{piece.data[at : at + size].hex(' ')}  # {comment}"
    if not theirs:
        return line
    told = f"{theirs[0].name}: {theirs[0].value}"
    is_number = re.fullmatch(r"0x[0-9a-f]+|[0-9]+", theirs[0].value)
    if isinstance(value, int) and is_number and int(theirs[0].value, 0) != value:
        raise ValueError(f"{piece.cls.__name__}.{name} is {value:#x} to us, but {told}")
    return f"{line}, {told}" if isinstance(value, int) else f"{line}\n# {told}"


def is_good(text: str, path: Path, classes: dict[str, type[Structure]]) -> bool:
    """Whether a new file says what its bytes say, and its bytes come out of what they mean."""
    with tempfile.TemporaryDirectory() as directory:
        new = Path(directory) / path.name
        new.write_text(text)
        vector = read(new, classes)
    try:
        body = vector.cls.parse(vector.message)
    except WireError:
        return False
    for name in body.__slots__:
        found, said = getattr(body, name), vector.fields.get(name)
        if (found if isinstance(found, int) else bytes(found)) != (
            said or (0 if isinstance(found, int) else b"")
        ):
            return False
    return bytes(body) in (vector.wire, vector.wire + b"\0") and len(vector.wire) < LONGEST


if __name__ == "__main__":
    main()
