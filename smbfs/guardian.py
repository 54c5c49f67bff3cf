"""Takes a mount off when the daemon dies without doing it: a small shell that waits for our end.

It holds the reading end of a pipe whose writing end only the daemon has.  A line means that all is
well; its end without one is the daemon's death.  Then what is still mounted there, and still is
ours, goes, and whatever waits in the kernel for an answer is let go.

Easily broken: to let go comes first, or the next FUSE mount, which may have the device number of
ours by then, would be aborted instead; nothing of ours may be in its command line, where people
look for the daemon; and it ignores the signals that a whole group of processes gets.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess

log = logging.getLogger(__name__)

SCRIPT = """trap '' HUP INT TERM
read -r line && exit 0
topmost=$(grep -F -e " / $SMBFS_LINE " /proc/self/mountinfo | tail -n 1)
case $topmost in *" $SMBFS_DEVICE / "*) ;; *) exit 0 ;; esac
abort=/sys/fs/fuse/connections/${SMBFS_DEVICE#*:}/abort
if [ -w "$abort" ]; then echo 1 >"$abort"; fi
$SMBFS_UMOUNT "$SMBFS_PATH"
"""
GOODBYE_S = 0.5  # it takes a millisecond, when nothing is served any more
ESCAPED = {"\\": r"\134", " ": r"\040", "\t": r"\011", "\n": r"\012"}  # as the kernel does


class Guardian:
    """The one of a mount: by its path, its device in the mount table, and how it comes off.

    The last word of ``command`` is the path.
    """

    def __init__(self, path: str, device: str, command: list[str]) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        line = "".join(ESCAPED.get(character, character) for character in path)
        about = {
            "SMBFS_DEVICE": device,
            "SMBFS_LINE": line,
            "SMBFS_UMOUNT": " ".join(command[:-1]),
            "SMBFS_PATH": path,
            "PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin",
        }
        try:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", SCRIPT],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=about,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:  # a mount without one is as good until it crashes
            log.warning("nobody will take the mount off if smbfs crashes: %s", error.strerror)

    def dismiss(self) -> None:
        """Send it home, for the mount is off; waits for it a moment."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            process.communicate(b"\n", timeout=GOODBYE_S)
