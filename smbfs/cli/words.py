"""The words of the mount command, as mount(8) and people write them.

Knows switches and places, no option: what follows -o is handed on as it stands.  Easily broken:
``-f`` means "foreground" to a person and "fake" to mount(8).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

LONG_FORMS = {
    "--read-only": "-r",
    "--ro": "-r",
    "--read-write": "-w",
    "--rw": "-w",
    "--verbose": "-v",
    "--sloppy": "-s",
    "--no-mtab": "-n",
    "--fake": "-F",
    "--foreground": "-D",
    "--help": "-h",
    "--version": "-V",
    "-?": "-h",
}
USAGE_TEXT = """\
Usage: smbfs //server/share[/folder] MOUNTPOINT [-o option,option=value,...]
       smbfs umount MOUNTPOINT
       smbfs status [MOUNTPOINT]
       smbfs errors [MOUNTPOINT]
       smbfs spool FOLDER [--retry MOUNTPOINT | --export FOLDER | --discard]
       mount -t smbfs //server/share MOUNTPOINT -o ...

  -o OPTIONS   mount options; may be given several times, see mount.smbfs(8)
  -f           stay in the foreground (as mount.smbfs: check everything, do not mount)
  -r, -w       read-only, read-write
  -v           say more
  -s           skip options that are not known
  -V, -h       version, this help
"""


class Usage(Exception):
    """The words of the command make no sense; the text says why."""


@dataclass(slots=True)
class Words:
    """What was typed."""

    service: str = ""
    mountpoint: str = ""
    options: list[str] = field(default_factory=list)
    is_fake: bool = False
    is_foreground: bool = False
    is_sloppy: bool = False
    is_verbose: bool = False
    shows: str = ""  # "help" or "version" instead of mounting


def words_of(arguments: Sequence[str], *, is_helper: bool) -> Words:
    """Read a command line as mount(8) and people write it, options anywhere; raises Usage."""
    words, places = Words(), []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        word = LONG_FORMS.get(word, word)
        if word == "--":
            places += rest
            break
        if word.startswith("--"):
            raise Usage(f"{word} is not a switch of smbfs: put it after -o, without the dashes")
        if not word.startswith("-") or word == "-":
            places.append(word)
            continue
        _switches(words, word[1:], rest, is_helper=is_helper)
    if words.shows:
        return words
    if len(places) != 2:
        raise Usage("Say what to mount and where: smbfs //server/share MOUNTPOINT")
    words.service, words.mountpoint = places
    return words


def _switches(words: Words, letters: str, rest: list[str], *, is_helper: bool) -> None:
    for at, letter in enumerate(letters):
        if letter in "otN":
            value = letters[at + 1 :] or (rest.pop(0) if rest else None)
            if value is None:
                raise Usage(f"-{letter} needs a value")
            if letter == "o":
                words.options.append(value)
            return
        match letter:
            case "f" if is_helper:
                words.is_fake = True
            case "F":
                words.is_fake = True
            case "f" | "D":
                words.is_foreground = True
            case "r" | "w":
                words.options.append("ro" if letter == "r" else "rw")
            case "s":
                words.is_sloppy = True
            case "v":
                words.is_verbose = True
            case "h" | "V":
                words.shows = "help" if letter == "h" else "version"
            case "n":
                pass  # there has been no mtab to write for long
            case "S":
                raise Usage("-S is gone: give the password in PASSWD_FD=0 or a credentials file")
            case _:
                raise Usage(f"-{letter} is not a switch of smbfs")
