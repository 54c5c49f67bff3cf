"""How much a mount has open and keeps, for who asks how it is."""

from __future__ import annotations

from smbfs.vfs.content import Content
from smbfs.vfs.volume import Volume


def counts(volume: Volume, content: Content) -> dict[str, int]:
    """Numbers of files and handles, and bytes of memory."""
    ground, opens = content.ground, content.all_open()
    return {
        "open": len(opens),
        "away": sum(not opened.is_here for opened in opens),  # lost with a connection, not back
        "kept_open": len(volume.idle),
        "leases": len(content.leases),
        "nodes": len(volume.inodes),
        "read_ahead_bytes": ground.read_budget.used_bytes,
        "unsent_bytes": ground.room.budget.used_bytes,
        "memory_bytes": ground.read_budget.limit_bytes + ground.room.budget.limit_bytes,
    }
