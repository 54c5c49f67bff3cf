"""Other processes as /proc shows them: who is in a group, who holds which socket.

Linux only, the standard library only; the private Samba and the demo stand on it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

# A Python for programs of a few lines: it imports nothing at its start, which takes a fifth of the
# time, and swallows no signal over it.
BARE_PYTHON = (sys.executable, "-S", "-c")
PROC = Path("/proc")
ESTABLISHED = "01"  # the kernel's tcp_states.h, in hexadecimal


def running() -> list[int]:
    """Every process of this machine, without those that ended and that nobody waited for."""
    return [int(entry.name) for entry in PROC.iterdir() if is_alive(entry)]


def is_alive(entry: Path) -> bool:
    """Whether this entry of /proc is a process that still runs."""
    with contextlib.suppress(OSError):
        if entry.name.isdigit():
            # The state follows the name in brackets, which may itself hold blanks and brackets.
            return (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def signal_group(group: int, number: signal.Signals) -> None:
    """Send a signal to a process group; one that is gone already is no error."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def members(group: int) -> list[int]:
    """The processes of one group."""
    found = []
    for pid in running():
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(pid) == group:
                found.append(pid)
    return found


def children(parent: int) -> list[int]:
    """The processes that one has started and that still run."""
    found = []
    for pid in running():
        with contextlib.suppress(OSError):
            status = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
            if int(status[1]) == parent:
                found.append(pid)
    return found


def command_line(pid: int) -> str:
    """What the process was started with, blanks between the words; empty if it is gone."""
    with contextlib.suppress(OSError):
        text = (PROC / str(pid) / "cmdline").read_bytes()
        return text.replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


def named(word: str) -> list[int]:
    """The process groups whose leader has ``word`` somewhere in its command line."""
    found = []
    for pid in running():
        with contextlib.suppress(ProcessLookupError):
            if word in command_line(pid) and os.getpgid(pid) == pid:
                found.append(pid)
    return found


def open_files(pid: int) -> set[str]:
    """What its descriptors point at (``socket:[12345]``); nothing for a process not ours."""
    found = set()
    with contextlib.suppress(OSError):
        for link in (PROC / str(pid) / "fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(os.readlink(link))
    return found


def established_on(port: int) -> set[str]:
    """The sockets of connections made to that local IPv4 port, as `open_files` names them."""
    found = set()
    for line in (PROC / "net" / "tcp").read_text().splitlines()[1:]:
        columns = line.split()
        if int(columns[1].partition(":")[2], 16) == port and columns[3] == ESTABLISHED:
            found.add(f"socket:[{columns[9]}]")
    return found
