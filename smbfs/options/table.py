"""Every option that smbfs knows, found by its name.

The rows stand in ``rows_*.py``.  A name is looked up as a flag or with a value, since `user` is
both.  Here too: which names are never skipped, and which known name a wrong one comes closest to.
"""

from __future__ import annotations

from difflib import SequenceMatcher
from types import MappingProxyType

from smbfs.options import rows_connection, rows_files, rows_mount
from smbfs.options.row import Row

ROWS: tuple[Row, ...] = rows_connection.ROWS + rows_files.ROWS + rows_mount.ROWS

FLAGS = MappingProxyType({name: row for row in ROWS for name in row.names if row.read is None})
VALUES = MappingProxyType(
    {name: row for row in ROWS for name in row.names if row.read is not None or row.refusal}
)
NAMES = frozenset(FLAGS) | frozenset(VALUES)
FOREIGN = ("x-", "X-")  # libmount keeps these to itself

SECURITY = frozenset(
    {
        "sec",
        "sign",
        "nosign",
        "signloosely",
        "ignore_signature",
        "seal",
        "vers",
        "guest",
        "multiuser",
        "cifsacl",
        "perm",
        "noperm",
        "default_permissions",
        "suid",
        "nosuid",
        "dev",
        "nodev",
        "exec",
        "noexec",
        "ro",
        "symlinks",
        "insecure",
        "credentials",
        "cred",
        "username",
        "user",
        "password",
        "pass",
        "password2",
        "pass2",
        "domain",
        "dom",
        "workgroup",
        "domainauto",
    }
)
"""Never skipped by ``sloppy``, and neither is a name that comes closest to one of these."""

CLOSE = 0.6  # of difflib's ratio: `sael` and `seal` have 0.75


def find(name: str, has_value: bool) -> Row | None:
    """The row of an option as it was written."""
    if name.startswith(FOREIGN):
        return FLAGS["comment"]
    return (VALUES if has_value else FLAGS).get(name)


def nearest(name: str) -> str:
    """The known name that this one comes closest to, or nothing if none is close."""
    matcher = SequenceMatcher(a="", b=name.lower(), autojunk=False)

    def closeness(known: str) -> tuple[float, bool, str]:
        matcher.set_seq1(known)
        return matcher.ratio(), known in SECURITY, known

    ratio, _, best = max(map(closeness, NAMES))
    return best if ratio >= CLOSE else ""
