"""What each room is told of the mount options: one function a room.

Knows the options on one side and the rooms' own parameters on the other, so that neither knows the
other.  Here limits are clamped and words become numbers; nothing is decided twice.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import trio

from smbfs import places
from smbfs.engine.dialect import Policy
from smbfs.engine.greeting import Dial
from smbfs.engine.transport import NetBios, connect, resolve
from smbfs.fuse.native.greeting import Wishes
from smbfs.losses import Losses
from smbfs.options import MountOptions
from smbfs.options.resolve import ALONE
from smbfs.vfs.policy import DataPolicy
from smbfs.vfs.presentation import Presentation

MIB = 1 << 20
LINGER_S = 0.005  # a program's next call comes sooner, and another machine would ask later


def policy_of(options: MountOptions) -> Policy:
    """What the engine insists on."""
    server = options.server
    return Policy(
        dialects=server.dialects,
        sign=server.sign,
        seal=server.seal,
        timeout_s=server.timeout_s,
        echo_interval_s=server.echo_interval_s,
        hard=server.hard,
        handle_timeout_ms=server.handle_timeout_ms,
        persistent=server.persistent is not False,
        max_credits=min(server.max_credits, 8192),
        rsize=min(server.read_size or MIB, 8 * MIB),
        wsize=min(server.write_size or MIB, 8 * MIB),
    )


def presentation_of(options: MountOptions) -> Presentation:
    """How files are shown."""
    shown, caching = options.presentation, options.caching
    return Presentation(
        uid=shown.uid,
        gid=shown.gid,
        file_mode=shown.file_mode,
        dir_mode=shown.dir_mode,
        names=shown.names,
        symlink=shown.symlink,
        actimeo_s=caching.file_attributes_s,
        acregmax_s=caching.file_attributes_s,
        acdirmax_s=caching.directory_attributes_s,
        timeout_s=options.server.timeout_s,
        ids=shown.ids,
        dynperm=shown.dynperm,
        reparse=shown.reparse,
        nodelete=shown.no_delete,
        sparse=not shown.no_sparse,
        symlinkroot=os.fsencode(shown.symlink_root) if shown.symlink_root else None,
        user_xattr=shown.user_xattrs,
        block_size=shown.block_size,
    )


def data_of(options: MountOptions) -> DataPolicy:
    """How file data is cached."""
    caching = options.caching
    return DataPolicy(
        cache_bytes=caching.memory,
        read_ahead_bytes=min(caching.readahead or 16 * MIB, caching.memory // 4),
        believe_s=caching.file_attributes_s,
        patience_s=options.server.timeout_s,
        linger_s=LINGER_S,
        is_cached=caching.mode != "none",
        is_synchronous=caching.write_through,
        flushes=caching.strict_sync,
        locks=options.kernel.locks != "local",
        locks_stay=options.kernel.locks == "auto",
        leases=caching.leases,
        close_s=caching.close_s,
        is_strict=caching.mode == "strict",
        is_alone=caching.mode in ALONE,
        directories=caching.directories,
        watches=caching.watches,
        looks_ahead=caching.look_ahead,
        looks_beside=options.kernel.default_permissions,
    )


def wishes_of(options: MountOptions) -> Wishes:
    """What the kernel is asked for, as far as the native server can choose."""
    kernel, usual = options.kernel, Wishes()
    return Wishes(
        max_background=kernel.max_background or usual.max_background,
        congestion_threshold=kernel.congestion_threshold or usual.congestion_threshold,
        max_write=min(kernel.max_write or MIB, MIB),
        max_readahead=kernel.max_readahead or usual.max_readahead,
        locks=options.kernel.locks != "local",
        is_shared=options.caching.mode not in ALONE,
    )


def losses_of(options: MountOptions) -> Losses | None:
    """Where what is lost is written down, if anywhere.  Raises OSError."""
    journal = options.daemon.journal
    if journal == "":
        return None
    if journal is not None:
        return Losses(Path(journal).parent, Path(journal).name)
    return Losses(places.own(places.state_directory(os.geteuid())))


def dial_of(options: MountOptions) -> Dial:
    """How a connection is made, each time there has to be one."""
    server = options.server
    netbios = NetBios(
        called=server.server_netbios_name,
        calling=server.netbios_name,
        always=True if server.netbios_session else None,
    )

    async def dial() -> tuple[trio.abc.Stream, bool]:
        connected = await connect(
            options.service.server,
            server.port,
            timeout_s=server.timeout_s,
            addresses=partial(resolve, server.address) if server.address else None,
            srcaddr=server.source_address or None,
            netbios=netbios,
        )
        return connected.stream, connected.netbios

    return dial
