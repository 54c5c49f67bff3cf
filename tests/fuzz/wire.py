"""Mutated messages for everything that reads bytes of a server; only WireError may come of them.

Each reader has seeds: the stored messages for structures, and made ones for lists and links.  What
is read is read to its end, for lists and texts are lazy.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Any

from smbfs.engine.information import from_all, from_entry
from smbfs.engine.leasing import read_break
from smbfs.wire import (
    contexts,
    directory,
    error_data,
    file_messages,
    fscc,
    fsctl,
    header,
    messages,
    netbios,
    posix,
    query_messages,
    reparse,
    symlink,
    units,
)
from smbfs.wire.codec import Structure, WireError
from tests.fuzz.mutation import mutated
from tests.wire.vectors import default_at, load, structures

HEAD = bytes(header.Header(command=0, message_id=0))


@dataclass(frozen=True)
class Reader:
    """Something that reads bytes, and well-formed bytes for it."""

    name: str
    read: Callable[[memoryview], object]
    seeds: tuple[bytes, ...]


def _all(found: Iterable[object]) -> None:
    for one in found:
        if isinstance(one, tuple):
            _all(part for part in one if isinstance(part, memoryview))


def _structure(cls: type[Structure]) -> Callable[[memoryview], object]:
    at = default_at(cls)
    return lambda view: cls.parse(view, at)


def _structures() -> list[Reader]:
    seeds: dict[type[Structure], list[bytes]] = {cls: [] for cls in structures().values()}
    for vector in load():
        seeds[vector.cls].append(bytes(vector.message))
    for cls, known in seeds.items():
        if not known:  # nobody has stored one: zeros are well-formed for most
            known += [bytes(default_at(cls) + size) for size in (24, 64, 200)]
    return [Reader(cls.__name__, _structure(cls), tuple(known)) for cls, known in seeds.items()]


def _lists() -> list[Reader]:
    durable = contexts.pack_create([(b"RqLs", bytes(52)), (b"DH2Q", bytes(8)), (b"MxAc", b"")])
    negotiate = contexts.pack_negotiate([(1, bytes(38)), (2, bytes(4)), (8, bytes(4))])
    errors = error_data.pack_symlink_error(units.utf16("a"), units.utf16("b"), 2, 1)
    error = HEAD + bytes(messages.ErrorResponse(error_context_count=0, error_data=errors))
    eas = fscc.pack_eas([(b"NAME", b"value"), (b"OTHER", b"")])
    chain = HEAD + bytes(8)
    chain = chain[:20] + len(chain).to_bytes(4, "little") + chain[24:] + HEAD + bytes(8)
    return [
        Reader("create_contexts", lambda view: contexts.create_contexts(view), (durable,)),
        Reader("negotiate_contexts", lambda v: _all(contexts.negotiate_contexts(v)), (negotiate,)),
        Reader("lease", contexts.lease, (bytes(32), bytes(52))),
        *_listings(),
        Reader("full_eas", lambda view: _all(fscc.full_eas(view)), (eas,)),
        Reader("streams", lambda view: _all(fscc.streams(view)), (bytes(64),)),
        Reader("split_chain", header.split_chain, (chain,)),
        Reader("parse_header", header.parse_header, (HEAD,)),
        Reader("symlink_error", _symlink_error, (error,)),
        Reader("break", read_break, tuple(_breaks())),
        Reader("allocated_ranges", fsctl.allocated_ranges, (bytes(64),)),
        Reader("network_interfaces", fsctl.network_interfaces, (bytes(304),)),
        Reader("netbios name", netbios.decode_name, (netbios.encode_name("NAS", 0x20),)),
        Reader("netbios refusal", netbios.session_refusal, (b"\x83\0\0\1\x82",)),
        Reader("posix owners", posix.posix_owners, (_sids(),)),
        Reader("text", units.text, (units.utf16("a name"),)),
        Reader("mfsymlink", symlink.parse_mfsymlink, (symlink.pack_mfsymlink(b"../a"),)),
        Reader("reparse", reparse.parse_reparse, tuple(_links())),
        Reader("all information", from_all, (bytes(200),)),
        Reader(
            "lock elements",
            _locks,
            (HEAD + bytes(file_messages.LockRequest(file_id=bytes(16), locks=bytes(48))),),
        ),
    ]


def _listings() -> list[Reader]:
    def reading(cls: type[Any]) -> Callable[[memoryview], object]:
        return lambda view: [from_entry(one) for one in directory.directory_entries(view, cls)]

    return [
        Reader(f"{cls.__name__} list", reading(cls), (made,)) for cls, made in _entries().items()
    ]


def _entries() -> dict[type[Any], bytes]:
    kinds = (
        directory.FileBothDirectoryInformation,
        directory.FileIdBothDirectoryInformation,
        directory.FileIdFullDirectoryInformation,
    )
    [stored] = [one for one in load() if one.name == "query_directory_response"]
    listed = bytes(query_messages.QueryDirectoryResponse.parse(stored.message).output_buffer)
    return {cls: listed if cls is kinds[1] else bytes(3 * 128) for cls in kinds}


def _breaks() -> list[bytes]:
    lease = messages.LeaseBreakNotification(
        new_epoch=2, flags=1, lease_key=bytes(16), current_lease_state=7, new_lease_state=1
    )
    oplock = messages.OplockBreakNotification(oplock_level=1, file_id=bytes(16))
    return [HEAD + bytes(lease), HEAD + bytes(oplock)]


def _links() -> list[bytes]:
    made: tuple[reparse.Reparse, ...] = (
        reparse.SymbolicLink("..\\a", "..\\a", is_relative=True),
        reparse.MountPoint("\\??\\D:\\", "D:\\"),
        reparse.PosixLink(reparse.ReparseTag.NFS, b"a/b"),
        reparse.PosixLink(reparse.ReparseTag.LX_SYMLINK, b"a/b"),
        reparse.Special(reparse.ReparseTag.NFS, stat.S_IFCHR, 1, 3),
        reparse.Other(0x80000013, b"abc"),
    )
    return [reparse.pack_reparse(one) for one in made]


def _sids() -> bytes:
    return units.text_to_sid("S-1-5-21-1-2-3-500") + units.text_to_sid("S-1-22-2-100")


def _symlink_error(view: memoryview) -> None:
    response = messages.ErrorResponse.parse(view)
    error_data.symlink_error(response)
    error_data.error_contexts(response)


def _locks(view: memoryview) -> None:
    file_messages.lock_elements(file_messages.LockRequest.parse(view))


def readers() -> list[Reader]:
    """Everything that reads."""
    return _structures() + _lists()


def fuzz(count: int, seed: int) -> tuple[int, int]:
    """Read so many mutated messages; how many made sense, and how many did not.

    Anything but WireError comes through, with the reader and the bytes in its notes.
    """
    chance, known = Random(seed), readers()
    good = bad = 0
    while good + bad < count:
        reader = known[(good + bad) % len(known)]
        data = mutated(chance.choice(reader.seeds), chance)
        try:
            reader.read(memoryview(data))
            good += 1
        except WireError:
            bad += 1
        except Exception as error:
            error.add_note(f"{reader.name} of {data.hex()}")
            raise
    return good, bad
