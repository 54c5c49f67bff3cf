"""The demo: mounts a share, works on it with ordinary programs, and leaves it mounted.

``start`` without a share makes one, on a private Samba of its own; ``stop`` unmounts and ends
that Samba.  Run it through ``make demo``, which installs what it needs first.

Knows the smbfs command as any user does, and the private Samba of the tests; nothing of the
package's inside.  All it keeps is in one directory, .demo or $SMBFS_DEMO, where ``stop`` finds it.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.processes import command_line, members, signal_group  # noqa: E402 the path comes first
from tests.samba import Samba, SambaError  # noqa: E402 the path comes first

STATE = Path(os.environ.get("SMBFS_DEMO", ROOT / ".demo"))
HOME = STATE / "samba"
MOUNTED = STATE / "mountpoint"  # a file that says where the last demo mounted
CREDENTIALS = STATE / "credentials"
SMBFS = ROOT / ".venv" / "bin" / "smbfs"
SIZE = 32 * 1024 * 1024  # of the file that goes in and out
END_S = 5.0
CONTENTS = {
    "Read me first.txt": "This file lies on an SMB server.  You are reading it through smbfs.\n",
    "music/Björk - Jóga.txt": "Not really a song, but a name that has to survive the journey.\n",
    "music/Sigur Rós - Hoppípolla.txt": "Another one.\n",
    "photos/2024/holiday.txt": "Imagine a picture here.\n",
}
TTY = sys.stdout.isatty()
BOLD, DIM, RED, PLAIN = ("\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[0m") if TTY else ("",) * 4


class Stop(Exception):
    """The demo cannot go on; the text tells the user why."""


def say(text: str = "") -> None:
    """One line for the user."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def heading(text: str) -> None:
    """What comes next, in plain words."""
    say(f"\n{BOLD}{text}{PLAIN}")


def shown(*words: str | Path) -> str:
    """A command as one would type it here."""
    return shlex.join(str(word).replace(f"{ROOT}/", "") for word in words)


def run(*words: str | Path, limit: int = 0, prompts: bool = False) -> str:
    """Show a command, run it and show what it says; ``limit`` is how many lines of it.

    Raises Stop if it fails.
    """
    say(f"  {DIM}${PLAIN} {shown(*words)}")
    done = subprocess.run(
        [str(word) for word in words],
        stdin=None if prompts else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=ROOT,
        check=False,
    )
    lines = done.stdout.rstrip().splitlines()
    for line in lines[:limit] if limit else lines:
        say(f"    {line}")
    if limit and len(lines) > limit:
        say(f"    … and {len(lines) - limit} more")
    if done.returncode != 0:
        raise Stop(f"{shown(words[0])} failed with exit status {done.returncode}; see above.")
    return done.stdout


def human(size: float, seconds: float) -> str:
    """A transfer in words."""
    return f"{size / 1e6:.0f} MB in {seconds:.2f} s, {size / 1e6 / max(seconds, 1e-6):.0f} MB/s"


def checksum(path: Path) -> str:
    """The SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# Where the share comes from


def start_samba() -> Samba:
    """A private Samba with a share named "demo" and something in it."""
    shutil.rmtree(HOME, ignore_errors=True)
    server = Samba(shares={"demo": {}}, directory=HOME, stays=True)
    for name, text in CONTENTS.items():
        path = server["demo"].path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    server.start()
    return server


def ask_credentials(share: str, user: str) -> None:
    """Write the name and password for a real share where only this user can read them."""
    user = user or getpass.getuser()
    if sys.stdin.isatty():
        password = getpass.getpass(f"  Password of {user} on {share}: ")
    else:
        password = sys.stdin.readline().rstrip("\n")
    CREDENTIALS.touch(mode=0o600)
    CREDENTIALS.chmod(0o600)
    CREDENTIALS.write_text(f"username={user}\npassword={password}\n")


# The steps of the demo


def mount(share: str, mountpoint: Path, options: list[str]) -> None:
    """Mount it; the command comes back when the mount answers."""
    heading("Mounting it")
    mountpoint.mkdir(parents=True, exist_ok=True)
    if any(mountpoint.iterdir()):
        raise Stop(f"{mountpoint} is not empty; give another with MOUNTPOINT=.")
    MOUNTED.write_text(str(mountpoint))
    begun = time.monotonic()
    run(SMBFS, share, mountpoint, "-o", ",".join(options), prompts=True)
    say(f"  Mounted and answering after {time.monotonic() - begun:.2f} s.")


def look(mountpoint: Path) -> None:
    """What is on the share."""
    heading("Looking at it")
    run("ls", "-l", mountpoint, limit=15)


def copy(mountpoint: Path) -> Path | None:
    """Copy a file in and out and compare; answers its place on the share, or None if read-only."""
    heading("Copying a file in and out again, and comparing")
    source, back = STATE / "out.bin", STATE / "back.bin"
    source.write_bytes(os.urandom(SIZE))
    target = mountpoint / f"smbfs-demo-{os.getpid()}.bin"
    try:
        target.touch()
    except PermissionError as error:
        say(f"  This share does not let you write ({error.strerror}), so there is nothing to copy.")
        return None
    except OSError as error:
        raise Stop(f"Cannot create {target}: {error.strerror}.") from error
    begun = time.monotonic()
    run("cp", source, target)
    say(f"  Written: {human(SIZE, time.monotonic() - begun)}.")
    begun = time.monotonic()
    run("cp", target, back)
    say(f"  Read:    {human(SIZE, time.monotonic() - begun)}.")
    if checksum(source) != checksum(back):
        raise Stop("What came back is not what was sent.  Please report this.")
    say(f"  Same content, SHA-256 {checksum(back)[:16]}…")
    source.unlink()
    back.unlink()
    return target


def server_view(share: str, port: str, credentials: Path) -> None:
    """What another client, Samba's own, sees on the server."""
    heading("What the server says it has")
    server, name, *inside = share.strip("/").split("/")
    words = ["smbclient", f"//{server}/{name}", "-A", str(credentials), "-s", smbclient_settings()]
    words += ["-p", port] * bool(port) + ["-D", "/".join(inside)] * bool(inside)
    run(*words, "-c", "ls", limit=15)


def smbclient_settings() -> str:
    """Settings that keep smbclient from reading this machine's own, which may be odd or absent."""
    path = STATE / "smbclient.conf"
    path.write_text(f"[global]\n  lock directory = {STATE}\n  client min protocol = SMB2\n")
    return str(path)


def start(share: str, user: str, more: str, mountpoint: Path) -> None:
    """The whole demo."""
    STATE.mkdir(exist_ok=True)
    stop()
    options = [more] if more else []
    is_ours = not share
    if not is_ours:
        heading(f"Using {share}")
        ask_credentials(share, user)
        credentials = CREDENTIALS
        port = next((one[5:] for one in more.split(",") if one.startswith("port=")), "")
    else:
        heading("Starting a Samba server of our own")
        server = start_samba()
        share, port, credentials = server["demo"].unc, str(server.port), server.credentials
        say(f"  It serves {share} on port {port}, to this machine only.")
        options.append(f"port={port}")
    options.append(f"credentials={shown(credentials)}")
    mount(share, mountpoint, options)
    look(mountpoint)
    copied = copy(mountpoint)
    heading("How much room there is")
    run("df", "-h", mountpoint)
    server_view(share, port, credentials)
    if not is_ours:
        CREDENTIALS.unlink()  # the mount has read it
        if copied is not None:
            copied.unlink()  # what is yours is left as it was
    heading("It stays mounted")
    say(f"  It is yours to try: {shown(mountpoint)}")
    say(f"  {'make demo-stop':<34} unmounts it" + " and ends that Samba" * is_ours)
    say(f"  {shown(SMBFS, 'umount', mountpoint):<34} unmounts it")


def is_mounted(mountpoint: Path) -> bool:
    """Whether something is mounted there, even if it does not answer any more."""
    escaped = str(mountpoint).replace(" ", r"\040")
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return any(line.split()[4] == escaped for line in lines)


def wait_for_end(group: int) -> None:
    """Give a process group the time to end by itself, and end what does not."""
    deadline = time.monotonic() + END_S
    while members(group) and time.monotonic() < deadline:
        time.sleep(0.02)
    signal_group(group, signal.SIGKILL)


def stop() -> bool:
    """Unmount what the last demo mounted and end its Samba; says whether there was anything."""
    did = False
    if MOUNTED.exists():
        mountpoint = Path(MOUNTED.read_text())
        if is_mounted(mountpoint):
            run(SMBFS, "umount", mountpoint)
            did = True
        MOUNTED.unlink()
    CREDENTIALS.unlink(missing_ok=True)
    with contextlib.suppress(OSError, ValueError):
        pid = int((HOME / "pid" / "smbd.pid").read_text())
        if str(HOME) in command_line(pid):  # the number may be someone else's by now
            signal_group(pid, signal.SIGTERM)
            wait_for_end(pid)
            did = True
    return did


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="make demo")
    parser.add_argument("action", choices=["start", "stop"])
    parser.add_argument("--share", default="")
    parser.add_argument("--user", default="")
    parser.add_argument("--options", default="")
    parser.add_argument("--mountpoint", default="")
    given = parser.parse_args()
    mountpoint = Path(given.mountpoint or STATE / "mnt").expanduser().resolve()
    try:
        if given.action == "start":
            start(given.share, given.user, given.options, mountpoint)
        else:
            say("The demo is over." if stop() else "Nothing to stop: no demo is running.")
    except (Stop, SambaError) as error:
        say(f"\n{RED}The demo stopped.{PLAIN}  {error}")
        status = 1
    except (KeyboardInterrupt, EOFError):
        say("\nInterrupted.")
        status = 130
    else:
        return 0
    with contextlib.suppress(Stop):  # it said why already
        stop()
    return status


if __name__ == "__main__":
    sys.exit(main())
