"""CREATE on the fake server: what is opened, with which contexts, and what stops at a link."""

from __future__ import annotations

from smbfs.wire.constants import Oplock
from smbfs.wire.contexts import (
    MAXIMAL_ACCESS,
    QUERY_ON_DISK_ID,
    REQUEST_LEASE,
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
from smbfs.wire.units import text, utf16
from tests.fake import opens
from tests.fake.messages import Request, Result, done
from tests.fake.tree import Fail, Open, Stopped


def create(request: Request) -> Result:
    body, volume = request.parse(CreateRequest), request.share
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
        grant = lease(wanted[REQUEST_LEASE])
        made.oplock, made.lease_key = Oplock.LEASE, grant.lease_key
        grant.lease_flags = 0
        if not isinstance(grant, LeaseV1):
            grant.epoch += 1
            made.volume.within.append((made.entry.name, grant.parent_lease_key))
            grant.lease_flags, grant.parent_lease_key = 0, bytes(16)
        found.append((REQUEST_LEASE, bytes(grant)))
    elif body.requested_oplock_level != Oplock.LEASE and not made.node.is_directory:
        made.oplock = body.requested_oplock_level
    return pack_create(found)


def _symlink(stopped: Stopped) -> bytes:
    link = parse_reparse(memoryview(stopped.node.reparse))
    assert isinstance(link, SymbolicLink)
    return pack_symlink_error(
        utf16(link.substitute_name),
        utf16(link.print_name),
        len(utf16(stopped.rest)),
        int(link.is_relative),
    )
