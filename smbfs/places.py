"""Where a running mount can be spoken to, and where what it lost is written down: by user.

Root's are in /run and /var/lib.  Another user's are in /run/user and the home, or, where there is
no such place, in a folder in /tmp.  The environment may name others: SMBFS_RUN_DIR and
SMBFS_STATE_DIR.  Knows no mount.  Easily broken: anybody may make a folder in
/tmp, so one that is not the user's own, or that others may enter, is not used.
"""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

ROOT_RUN, ROOT_STATE = Path("/run/smbfs"), Path("/var/lib/smbfs")
USERS_RUN, TEMPORARY = Path("/run/user"), Path("/tmp")
PRIVATE = 0o700


def run_directory(uid: int) -> Path:
    """Where the control sockets of a user's mounts are; need not exist."""
    if elsewhere := os.environ.get("SMBFS_RUN_DIR"):
        return Path(elsewhere)
    if uid == 0:
        return ROOT_RUN
    own = USERS_RUN / str(uid)
    return own / "smbfs" if own.is_dir() else TEMPORARY / f"smbfs-{uid}"


def state_directory(uid: int) -> Path:
    """Where what a user's mounts lost is written down; need not exist.  Raises OSError."""
    if elsewhere := os.environ.get("SMBFS_STATE_DIR"):
        return Path(elsewhere)
    if uid == 0:
        return ROOT_STATE
    try:
        home = pwd.getpwuid(uid).pw_dir
    except KeyError as error:
        raise OSError(f"the user {uid} has no home") from error
    return Path(home) / ".local" / "state" / "smbfs"


def own(directory: Path) -> Path:
    """Make a directory that is ours alone, if it is not there.  Raises OSError if it is not."""
    directory.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    found = directory.lstat()
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    if not is_ours or found.st_mode & 0o022:
        raise PermissionError(f"{directory} is not ours alone")
    return directory
