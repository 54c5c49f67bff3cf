"""CREATE on the fake server: what is opened, with which contexts, and what stops at a link."""

from __future__ import annotations

from smbfs.wire.constants import CreateAction, Oplock
from smbfs.wire.contexts import (
    DURABLE_RECONNECT,
    DURABLE_RECONNECT_V2,
    DURABLE_REQUEST,
    DURABLE_REQUEST_V2,
    MAXIMAL_ACCESS,
    QUERY_ON_DISK_ID,
    REQUEST_LEASE,
    DurableReconnect,
    DurableReconnectV2,
    DurableRequestV2,
    DurableResponse,
    DurableResponseV2,
    LeaseV1,
    MaximalAccessResponse,
    OnDiskIdResponse,
    create_contexts,
    lease,
    pack_create,
)
from smbfs.wire.error_data import pack_symlink_error
from smbfs.wire.file_messages import CreateRequest, CreateResponse
from smbfs.wire.reparse import SymbolicLink, parse_reparse
from smbfs.wire.status import Status
from smbfs.wire.units import text, utf16
from tests.fake import opens
from tests.fake.messages import Request, Result, done
from tests.fake.tree import Fail, Open, Stopped

Contexts = dict[bytes, memoryview]


def create(request: Request) -> Result:
    body, volume = request.parse(CreateRequest), request.share
    wanted = create_contexts(memoryview(body.contexts))
    if DURABLE_RECONNECT_V2 in wanted or DURABLE_RECONNECT in wanted:
        return _reclaimed(request, body, wanted)
    wish = opens.Wish(
        text(body.name),
        body.desired_access,
        body.share_access,
        body.create_disposition,
        body.create_options,
        body.file_attributes,
    )
    try:
        entry, action, access = opens.find_or_make(volume, wish)
    except Stopped as stopped:
        request.chain.error = stopped.status
        raise Fail(stopped.status, _symlink(stopped)) from None
    except Fail as error:
        request.chain.error = error.status
        raise
    server = request.wire.server
    made = Open(
        next(server.file_ids),
        volume,
        entry,
        access,
        body.share_access,
        body.create_options,
        request.header.session_id,
        request.header.tree_id,
    )
    entry.node.opens.append(made)
    server.opens[made.file_id] = made
    request.chain.open, request.chain.error = made, None
    contexts = _create_contexts(made, body)
    return done(_create_response(made, action, contexts))


def _reclaimed(request: Request, body: CreateRequest, wanted: Contexts) -> Result:
    """Give an open back that was kept ([MS-SMB2] 3.3.5.9.7, 3.3.5.9.12)."""
    server = request.wire.server
    if (data := wanted.get(DURABLE_RECONNECT_V2)) is not None:
        claim = DurableReconnectV2.parse(data, 0)
        file_id, guid = bytes(claim.file_id), bytes(claim.create_guid)
    else:
        file_id, guid = bytes(DurableReconnect.parse(wanted[DURABLE_RECONNECT], 0).file_id), b""
    kept = server.opens.get(file_id)
    key = lease(wanted[REQUEST_LEASE]).lease_key if REQUEST_LEASE in wanted else b""
    if kept is None or kept.session_id or kept.guid != guid or kept.lease_key != key:
        request.chain.error = Status.OBJECT_NAME_NOT_FOUND
        raise Fail(Status.OBJECT_NAME_NOT_FOUND)
    del server.opens[file_id]
    kept.file_id = next(server.file_ids)
    kept.session_id, kept.tree_id = request.header.session_id, request.header.tree_id
    server.opens[kept.file_id] = kept
    request.chain.open, request.chain.error = kept, None
    contexts = pack_create(_leased(kept, wanted) if key else [])
    return done(_create_response(kept, CreateAction.OPENED, contexts))


def _create_response(made: Open, action: int, contexts: bytes) -> CreateResponse:
    node = made.node
    return CreateResponse(
        oplock_level=made.oplock,
        create_action=action,
        creation_time=node.creation_time,
        last_access_time=node.last_access_time,
        last_write_time=node.last_write_time,
        change_time=node.change_time,
        allocation_size=node.allocation,
        end_of_file=node.size,
        file_attributes=node.shown_attributes,
        file_id=made.file_id,
        contexts=contexts,
    )


def _create_contexts(made: Open, body: CreateRequest) -> bytes:
    wanted = create_contexts(memoryview(body.contexts))
    found: list[tuple[bytes, bytes]] = []
    if MAXIMAL_ACCESS in wanted:
        access = MaximalAccessResponse(query_status=0, maximal_access=opens.rights(made.volume))
        found.append((MAXIMAL_ACCESS, bytes(access)))
    if QUERY_ON_DISK_ID in wanted:
        ids = OnDiskIdResponse(disk_file_id=made.node.file_id, volume_id=made.volume.serial)
        found.append((QUERY_ON_DISK_ID, bytes(ids)))
    if body.requested_oplock_level == Oplock.LEASE and REQUEST_LEASE in wanted:
        found += _leased(made, wanted)
    elif body.requested_oplock_level != Oplock.LEASE and not made.node.is_directory:
        made.oplock = body.requested_oplock_level
    if made.volume.keeps and made.oplock in (Oplock.LEASE, Oplock.BATCH):
        found += _durable(made, wanted)
    return pack_create(found)


def _leased(made: Open, wanted: Contexts) -> list[tuple[bytes, bytes]]:
    grant = lease(wanted[REQUEST_LEASE])
    made.oplock, made.lease_key = Oplock.LEASE, grant.lease_key
    grant.lease_flags = 0
    if not isinstance(grant, LeaseV1):
        grant.epoch += 1
        made.volume.within.append((made.entry.name, grant.parent_lease_key))
        grant.lease_flags, grant.parent_lease_key = 0, bytes(16)
    return [(REQUEST_LEASE, bytes(grant))]


def _durable(made: Open, wanted: Contexts) -> list[tuple[bytes, bytes]]:
    if (data := wanted.get(DURABLE_REQUEST_V2)) is not None:
        made.guid = bytes(DurableRequestV2.parse(data, 0).create_guid)
        return [(DURABLE_REQUEST_V2, bytes(DurableResponseV2(timeout=60_000)))]
    if DURABLE_REQUEST in wanted:
        made.guid = b""
        return [(DURABLE_REQUEST, bytes(DurableResponse()))]
    return []


def _symlink(stopped: Stopped) -> bytes:
    link = parse_reparse(memoryview(stopped.node.reparse))
    assert isinstance(link, SymbolicLink)
    return pack_symlink_error(
        utf16(link.substitute_name),
        utf16(link.print_name),
        len(utf16(stopped.rest)),
        int(link.is_relative),
    )
