"""Which command was meant: ``smbfs …``, or mount.smbfs by its own name."""

from __future__ import annotations

import os
import sys

from smbfs.cli import mount, spool, tell, unmount


def main() -> None:
    """Run the command that was typed, and end with its exit status."""
    open_streams()
    name, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
    sys.exit(command(name, arguments))


def command(name: str, arguments: list[str]) -> int:
    """Run one command; returns the exit status."""
    if name.startswith("mount."):
        return mount.main(arguments, is_helper=True)
    if arguments[:1] in (["umount"], ["unmount"]):
        return unmount.main(arguments[1:])
    if arguments[:1] == ["status"]:
        return tell.status(arguments[1:])
    if arguments[:1] == ["errors"]:
        return tell.errors(arguments[1:])
    if arguments[:1] == ["spool"]:
        return spool.main(arguments[1:])
    if arguments[:1] == ["mount"]:
        arguments = arguments[1:]
    return mount.main(arguments or ["--help"], is_helper=False)


def open_streams() -> None:
    """Open what was closed of standard input and the two outputs.

    Else the next file would take the number, and a log line might go to a socket.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
