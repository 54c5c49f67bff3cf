"""What was asked for, as plain values in groups: one group for each part of the house.

Every field has the default of smbfs, so a group made of nothing is a valid one.  An option whose
mechanism is not built has no field: its row says what happens instead.  Knows no option by name.

Easily broken: a password is a `Secret` from the moment it is read, or a repr would show it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from smbfs.auth import Secret
from smbfs.options.share import Service
from smbfs.options.values import DEFAULT_DIALECTS, MIB, LogTarget
from smbfs.wire.units import NameMap

MODE = 0o755


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """How to reach the server and what to insist on, for the engine.

    ``read_size`` and ``write_size`` are upper limits, None: what is negotiated, at most 4 MiB.
    ``timeout_s`` may be infinite.  ``netbios_session`` asks for the session request of RFC 1001.
    """

    address: str = ""
    port: int = 445
    source_address: str = ""
    netbios_session: bool = False
    netbios_name: str = ""
    server_netbios_name: str = "*SMBSERVER"
    dialects: tuple[int, ...] = DEFAULT_DIALECTS
    sign: bool = True
    seal: bool = False
    max_credits: int = 1024
    read_size: int | None = None
    write_size: int | None = None
    timeout_s: float = 15.0
    echo_interval_s: float = 10.0
    hard: bool = False  # calls wait until the server is back
    handle_timeout_ms: int = 0  # how long the server shall keep open files; 0: as it likes
    persistent: bool | None = None  # open files that outlive the server; True: or no mount


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginOptions:
    """Who wants in.  ``kind`` is a row of `smbfs.auth.MECHANISMS`.

    An empty ``username`` was not given; ``domain`` is None if not given, since it may be empty on
    purpose.  The passwords are those of the option string; `smbfs.credentials` finds the rest.
    """

    kind: str = "ntlmssp"
    username: str = ""
    domain: str | None = None
    domain_auto: bool = False
    guest: bool = False
    password: Secret | None = None
    password2: Secret | None = None
    credentials: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentationOptions:
    """How the share looks to programs, for the filesystem.

    ``force_uid`` and ``force_gid`` beat what a server says.  ``symlink`` is how links are created.
    """

    uid: int = 0
    gid: int = 0
    force_uid: bool = False
    force_gid: bool = False
    file_mode: int = MODE
    dir_mode: int = MODE
    ids: str = "accept"
    names: NameMap = NameMap.SFM
    dynperm: bool = False
    symlink: str = "default"
    symlink_root: str = ""
    reparse: str = "default"
    no_delete: bool = False
    no_sparse: bool = False
    user_xattrs: bool = True
    block_size: int = MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheOptions:
    """What may be kept and for how long, in seconds and bytes.

    ``stated_directory_s`` is what `acdirmax=` said; it also bounds directories under a lease.
    ``write_through`` is ``sync``, ``close_s`` is ``closetimeo``,
    ``directories`` is ``max_cached_dirs``.
    """

    mode: str = "strict"
    file_attributes_s: float = 1.0
    directory_attributes_s: float = 1.0
    stated_directory_s: float | None = None
    memory: int = 64 * MIB
    readahead: int | None = None
    strict_sync: bool = True
    write_through: bool = False
    leases: bool = True
    close_s: float = 1.0
    look_ahead: bool = True
    watches: bool = True
    directories: int = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelOptions:
    """What the kernel is told about the mount.  ``contexts`` go to mount(2) as they stand.

    The numbers are 0 for our own choice; ``locks`` is where fcntl locks and flock live.
    """

    fsname: str = ""
    subtype: str = "smbfs"
    read_only: bool = False
    suid: bool = False
    dev: bool = False
    exec: bool = True
    allow_other: bool = False
    allow_root: bool = False
    default_permissions: bool = True
    auto_unmount: bool = False
    no_symlinks: bool = False
    locks: str = "auto"
    max_read: int = 0
    max_write: int = 0
    max_readahead: int = 0
    max_background: int = 0
    congestion_threshold: int = 0
    contexts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonOptions:
    """How the process itself behaves."""

    transport: str = "auto"
    log: LogTarget = field(default_factory=LogTarget)
    foreground: bool = False
    no_fail: bool = False
    insecure: bool = False
    journal: str | None = None  # the file of what was lost; "" for none, None for the usual one
    control: str | None = None  # "" for no control socket
    spool: str = ""  # the folder for what cannot be sent before the end


@dataclass(frozen=True, slots=True)
class Note:
    """Something to tell once the log is open; ``level`` is one of `logging`."""

    level: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MountOptions:
    """Everything that a mount was asked for."""

    service: Service
    server: ServerOptions = field(default_factory=ServerOptions)
    login: LoginOptions = field(default_factory=LoginOptions)
    presentation: PresentationOptions = field(default_factory=PresentationOptions)
    caching: CacheOptions = field(default_factory=CacheOptions)
    kernel: KernelOptions = field(default_factory=KernelOptions)
    daemon: DaemonOptions = field(default_factory=DaemonOptions)
    notes: tuple[Note, ...] = ()
