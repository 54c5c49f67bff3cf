"""``smbfs status`` and ``smbfs errors``: how mounts are, and what they could not write.

Asks the mount table, the control sockets and the file of losses, never a mount itself: both answer
at once, whatever the server does.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from smbfs import control, mountpoint, places
from smbfs.cli.mount import FAILED, OK, say
from smbfs.losses import Loss, Losses, joined
from smbfs.mountpoint import Mounted

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


# smbfs status


def status(arguments: Sequence[str]) -> int:
    """Tell how the mounts are; 0 if all that were asked for answer."""
    parser = argparse.ArgumentParser(
        prog="smbfs status", description="Tell how mounted shares are, server or no server."
    )
    parser.add_argument("mountpoint", nargs="*", help="only these; else all of them")
    parser.add_argument("--json", action="store_true", help="for programs: a list of objects")
    asked = parser.parse_args(arguments)
    found = list(mountpoint.ours())
    missing: list[str] = []
    if asked.mountpoint:
        wanted = {_resolved(place): place for place in asked.mountpoint}
        found = [one for one in found if one.path in wanted]
        missing = [wanted[path] for path in wanted.keys() - {one.path for one in found}]
    answers = [_asked(one) for one in found]
    if asked.json:
        sys.stdout.write(json.dumps(answers, indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(_described(one) for one in answers))
    if not found and not asked.mountpoint and not asked.json:
        sys.stdout.write("No share is mounted.\n")
    for place in missing:
        say(f"no share is mounted on {place}", FAILED)
    return FAILED if missing or any("error" in one for one in answers) else OK


def _resolved(place: str) -> str:
    try:
        return mountpoint.resolved(place)
    except OSError:
        return place  # which is nowhere, so nothing is mounted there


def _asked(mounted: Mounted) -> dict[str, Any]:
    try:
        return control.ask(mounted.device, mounted.owner, "status")
    except control.NobodyThere as error:
        return {"mountpoint": mounted.path, "share": mounted.source, "error": str(error)}


def _described(told: dict[str, Any]) -> str:
    lines = [f"{told['share']} on {told['mountpoint']}"]
    if "error" in told:
        return f"{lines[0]}\n  no answer    {told['error']}\n"
    lines.append(f"  state        {_state(told)}")
    if (connection := told["connection"]) is not None:
        lines.append(f"  protocol     {_protocol(connection)}")
        free, every = connection["credits"]["free"], connection["credits"]["all"]
        under_way = connection["requests_under_way"]
        lines.append(f"  requests     {under_way} under way, {free} of {every} credits free")
    files = told["files"]
    away = f", {files['away']} waiting to come back" if files["away"] else ""
    lines.append(f"  files        {files['open']} open, {files['kept_open']} kept open{away}")
    unsent, ahead = _bytes(files["unsent_bytes"]), _bytes(files["read_ahead_bytes"])
    lines.append(
        f"  memory       {unsent} not sent yet, {ahead} read ahead, "
        f"at most {_bytes(files['memory_bytes'])}"
    )
    lines += [
        f"  {'last errors' if number == 0 else '':<12} {_when(one['at'])}  {one['message']}"
        for number, one in enumerate(told["last_errors"][-5:])
    ]
    return "\n".join(lines) + "\n"


def _state(told: dict[str, Any]) -> str:
    again = f", connection number {told['connections']}" if told["connections"] > 1 else ""
    words = {
        "connected": f"connected for {_long(told['since'])}{again}",
        "away": f"the server is away: {told['trouble']}; it is looked for all the time",
        "lost": f"no connection for {_long(told['since'])}; the next call makes one",
        "connecting": "connecting",
        "ending": "being unmounted",
    }
    return str(words.get(told["state"], told["state"]))


def _protocol(connection: dict[str, Any]) -> str:
    signing, encryption = connection["signing"], connection["encryption"]
    if encryption != "none":
        secured = f"encrypted with {encryption}"
    elif signing != "none":
        secured = f"signed with {signing}, not encrypted"
    else:
        secured = "neither signed nor encrypted"
    guest = ", as guest" if connection["guest"] else ""
    return f"SMB {connection['dialect']}, {secured}{guest}"


def _long(since: str) -> str:
    """How long it is since a moment, in words."""
    gone = datetime.now(UTC) - datetime.fromisoformat(since)
    seconds = max(0, int(gone / timedelta(seconds=1)))
    if seconds < 60:
        return f"{seconds} s"
    minutes, hours = seconds // 60, seconds // 3600
    if hours < 1:
        return f"{minutes} min"
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} days"


def _bytes(size: float) -> str:
    for unit in UNITS[:-1]:
        if size < 1024:
            return f"{size:.1f} {unit}" if unit != "B" else f"{int(size)} B"
        size /= 1024
    return f"{size:.1f} {UNITS[-1]}"


def _when(at: str) -> str:
    """A moment in the time of this machine."""
    return datetime.fromisoformat(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


# smbfs errors


def errors(arguments: Sequence[str]) -> int:
    """Tell what could not be written; 0 if nothing, 1 if something."""
    parser = argparse.ArgumentParser(
        prog="smbfs errors",
        description="Tell which bytes were taken from programs and are not on the server.",
    )
    parser.add_argument("mountpoint", nargs="?", help="only of this one; else of all")
    parser.add_argument("--json", action="store_true", help="for programs: a list of objects")
    parser.add_argument("--clear", action="store_true", help="forget them, of all mounts")
    parser.add_argument("--journal", metavar="FILE", help="what journal= was, if it was given")
    parser.add_argument("--user", type=int, default=os.geteuid(), help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    try:
        losses = Losses(places.state_directory(asked.user))
        if asked.journal:
            losses = Losses(Path(asked.journal).parent, Path(asked.journal).name)
        found = losses.all()
        if asked.clear:
            losses.clear()
            return OK
    except OSError as error:
        return say(f"cannot read what was lost: {error.strerror or error}", FAILED)
    if asked.mountpoint:
        place = _resolved(asked.mountpoint)
        found = [one for one in found if one.mount == place]
    found = joined(found)
    if asked.json:
        sys.stdout.write(json.dumps([asdict(one) for one in found], indent=2) + "\n")
    else:
        sys.stdout.write("".join(map(_lost, found)) or "Nothing was lost.\n")
    return 1 if found else OK


def _lost(loss: Loss) -> str:
    name = os.path.join(loss.mount, loss.path)
    last = loss.offset + loss.size - 1
    return f"{_when(loss.at)}  {name}: bytes {loss.offset} to {last} were not written: {loss.why}\n"
