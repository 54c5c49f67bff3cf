"""How a mount shows its files: owner, modes, names, and what to do where SMB and POSIX differ.

Made once by `smbfs.mount` from the options and never changed.  Knows option values and nothing
of servers or nodes.

Easily broken: `file_mode` and `dir_mode` are modes, not masks, and stand for every file alike;
the one bit of truth a plain server keeps is READONLY (`smbfs.vfs.stat`).
"""

from __future__ import annotations

from dataclasses import dataclass

from smbfs.wire.units import NameMap

SYMLINKS = ("default", "none", "native", "mfsymlinks", "nfs", "wsl")  # the values we can create
SPECIALS = ("default", "none", "nfs", "wsl")  # of ``reparse=``, for fifos, sockets and devices
IDS = ("accept", "strict")


@dataclass(frozen=True, slots=True)
class Presentation:
    """What the options say about how files look.  Raises ValueError for what is not built.

    Times are seconds; ``acregmax_s`` and ``acdirmax_s`` stand before ``actimeo_s`` when given.
    """

    uid: int
    gid: int
    file_mode: int = 0o755
    dir_mode: int = 0o755
    names: NameMap = NameMap.SFM
    symlink: str = "default"
    reparse: str = "default"
    actimeo_s: float = 1.0
    acregmax_s: float | None = None
    acdirmax_s: float | None = None
    timeout_s: float = 15.0
    ids: str = "accept"
    dynperm: bool = False
    nodelete: bool = False
    sparse: bool = True  # False: nothing is marked sparse, and so no holes are made
    user_xattr: bool = True
    block_size: int = 1 << 20
    symlinkroot: bytes | None = None  # where the drives of Windows link targets are

    def __post_init__(self) -> None:
        _one_of("symlink", self.symlink, SYMLINKS)
        _one_of("reparse", self.reparse, SPECIALS)
        _one_of("ids", self.ids, IDS)

    def belief_s(self, is_directory: bool) -> float:
        """How long attributes are believed without asking again, in seconds."""
        stated = self.acdirmax_s if is_directory else self.acregmax_s
        return self.actimeo_s if stated is None else stated


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"`{option}={value}` is not supported; use one of {', '.join(allowed)}")
