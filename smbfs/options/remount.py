"""What may change while a share stays mounted, and what may not.

Knows which fields are live.  Does not carry anything out.
"""

from __future__ import annotations

from dataclasses import fields

from smbfs.options.model import MountOptions
from smbfs.options.refusals import OptionError
from smbfs.options.share import agrees
from smbfs.options.table import ROWS

LIVE = frozenset(
    {
        "kernel.read_only",
        "caching.file_attributes_s",
        "caching.directory_attributes_s",
        "caching.stated_directory_s",
        "caching.memory",
        "caching.readahead",
        "server.timeout_s",
        "server.echo_interval_s",
        "login.password",
        "login.password2",
        "login.credentials",
        "daemon.log",
        "daemon.foreground",  # of the command, not of the mount
        "daemon.no_fail",
    }
)
DERIVED = {  # fields that no row names, and the option that people know them by
    "login.kind": "sec",
    "presentation.names": "mapposix",
    "presentation.symlink": "symlink",
    "kernel.contexts": "context",
}
OPTION = {
    field: row.names[0] for row in reversed(ROWS) for field in (row.to, *row.sets) if field
} | DERIVED


def check_remount(old: MountOptions, new: MountOptions) -> None:
    """See whether the one can become the other, raises OptionError that names the option."""
    if old.service.server.casefold() != new.service.server.casefold():
        raise OptionError("A remount cannot change the server; unmount first.")
    if not agrees(old.service, new.service) or not agrees(new.service, old.service):
        raise OptionError("A remount cannot change the share; unmount first.")
    for group in fields(MountOptions):
        if group.name in ("service", "notes"):
            continue
        before, after = getattr(old, group.name), getattr(new, group.name)
        for field in fields(before):
            name = f"{group.name}.{field.name}"
            if name not in LIVE and getattr(before, field.name) != getattr(after, field.name):
                raise OptionError(f"A remount cannot change `{OPTION[name]}`; unmount first.")
