"""``smbfs umount FOLDER``: take a share off; what was written and closed is on the server then."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from smbfs import mountpoint
from smbfs.cli.mount import FAILED, OK, USAGE, say

USAGE_TEXT = """\
Usage: smbfs umount [-l] MOUNTPOINT

  -l   take it out of sight at once, and off when nobody uses it any more
"""


def main(arguments: Sequence[str]) -> int:
    """Unmount; returns the exit status of umount(8)."""
    places = [word for word in arguments if not word.startswith("-")]
    switches = {word for word in arguments if word.startswith("-")}
    if {"-h", "--help"} & switches:
        sys.stdout.write(USAGE_TEXT)
        return OK
    if len(places) != 1 or not switches <= {"-l", "-z", "--lazy"}:
        sys.stderr.write(USAGE_TEXT)
        return USAGE
    [place] = places
    try:
        path = mountpoint.resolved(place)
    except OSError:
        path = place  # which is nowhere, so nothing is mounted there
    mounted = mountpoint.mounted_on(path)
    if mounted is None or not mounted.is_ours:
        return say(f"no share is mounted on {place}", FAILED)
    command = mountpoint.unmount_command(path, lazy=bool(switches))
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except FileNotFoundError:
        return say(f"{command[0]} is missing: install the package fuse3", FAILED)
    if done.returncode == 0:
        return OK
    if "busy" in done.stderr:
        close = "close it, or use -l to unmount when it ends"
        return say(f"{place} is in use by a program; {close}", FAILED)
    return say(done.stderr.strip() or f"{command[0]} failed", FAILED)
