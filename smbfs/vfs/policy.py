"""What is asked ahead, kept and believed on one mount, from the mount options.

Made once by `smbfs.settings` and never changed; knows option values and nothing of files.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DataPolicy:
    """What is kept and for how long, from the mount options."""

    cache_bytes: int = 64 << 20  # read-ahead and unsent writes of the whole mount
    read_ahead_bytes: int = 16 << 20  # the largest window of one stream
    believe_s: float = 1.0  # how long bytes read ahead may be handed out
    patience_s: float = 0.0  # how long unsent bytes wait for a server that is away: `timeout=`
    linger_s: float = 0.0  # how long a few bytes wait for what comes right behind them
    is_cached: bool = True  # False for cache=none: every read and write goes to the server
    is_synchronous: bool = False  # the mount option sync
    flushes: bool = True  # False for nostrictsync: fsync does not ask the server to flush
    leases: bool = False  # whether leases and oplocks are asked for: `lease`
    close_s: float = 1.0  # how long a handle under a lease outlives its last user, `closetimeo=`
    is_alone: bool = False  # nobody else changes anything: what is known stays true
    directories: int = 4096  # whose names are kept: `max_cached_dirs=`
    watches: bool = False  # has the server tell of changes in directories: `notify`
    looks_ahead: bool = False  # fetches what a program that walks a tree will want: `lookahead`
    looks_beside: bool = False  # the kernel asks for a directory after each change in it
    is_strict: bool = True  # False where `cache=` says that others need not see unsent writes
    locks: bool = True  # False for locks=local: the kernel keeps them and never asks us
    locks_stay: bool = False  # here while nobody else has the file open: locks=auto, with leases
