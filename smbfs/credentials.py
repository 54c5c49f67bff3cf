"""Where the password comes from, and where it must not stay.

Knows the credentials file, the environment variables, the prompts, and how user and domain are
written together.  Gives `Login` values to try in order.  Knows no option: what was written in the
option list comes in as `Asked`.

Easily broken: a line of a credentials file is never quoted in a message, not even its key, for it
may be a password.
"""

from __future__ import annotations

import difflib
import getpass
import os
import pwd
import re
import shutil
import stat
import subprocess
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass

from smbfs.auth import Login, Secret

USAGE, FILE_IO = 1, 16  # exit statuses of mount(8)
VARIABLES = ("PASSWD", "PASSWD_FD", "PASSWD_FILE", "PASSWD2", "PASSWD2_FD", "PASSWD2_FILE")
KEYS = {  # by their beginning, in this order
    "user": "username",
    "password2": "password2",
    "pass2": "password2",
    "pass": "password",
    "dom": "domain",
    "workgroup": "domain",
}
SPELLINGS = ("username", "password", "password2", "domain", "workgroup")
LARGEST_FILE = 1 << 20  # a password of a mebibyte is a mistake
OPEN_FILE = (
    "{name} can be read by other users. Run `chmod 600 {name}`, or add `insecure` "
    "if that is intended."
)
LAX_FILE = "{name} can be read by other users; `insecure` allows it."
NOBODY_TO_ASK = (
    "There is no password and nobody to ask for one: use `credentials=FILE`, or `guest` to log in "
    "without."
)

Ask = Callable[[str], str | None]


class CredentialsError(ValueError):
    """A login cannot be put together; the text is one sentence, the status that of mount(8)."""

    def __init__(self, sentence: str, exit_status: int = USAGE) -> None:
        super().__init__("".join(c if c.isprintable() else "\ufffd" for c in sentence))
        self.exit_status = exit_status


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the option list says about the login; ``what`` is the share, for the prompt."""

    what: str
    kind: str = "ntlmssp"
    username: str = ""
    domain: str | None = None
    domain_auto: bool = False
    guest: bool = False
    password: Secret | None = None
    password2: Secret | None = None
    credentials: str = ""
    insecure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a credentials file says; None where it is silent."""

    username: str | None = None
    domain: str | None = None
    password: Secret | None = None
    password2: Secret | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Credentials:
    """The logins to try, in order, and what is worth a warning."""

    logins: tuple[Login, ...]
    warnings: tuple[str, ...] = ()


def gather(
    asked: Asked, environ: MutableMapping[str, str] | None = None, ask: Ask | None = None
) -> Credentials:
    """Put the logins together from all sources, asking if need be; raises CredentialsError.

    The first source that gives a password wins.  The variables leave ``environ`` in any case.
    May wait for a person.
    """
    environ = os.environ if environ is None else environ
    taken = {name: environ.pop(name) for name in VARIABLES if name in environ}
    if asked.kind == "none":
        return Credentials((anonymous(),))
    found = Found()
    if asked.credentials:
        found = read_credentials(asked.credentials, insecure=asked.insecure, environ=environ)
    name = asked.username or found.username or ""
    password = first(found.password, from_environment(taken, "PASSWD"), asked.password)
    if asked.guest and not name and not password:
        return Credentials((anonymous(), login(asked, "guest", "", Secret(""))), found.warnings)
    user, domain = split_user(name or own_name(environ), asked.domain, found.domain)
    if password is None:
        password = Secret("") if asked.guest else prompt(user, asked.what, ask or ask_person)
    second = first(found.password2, from_environment(taken, "PASSWD2"), asked.password2)
    passwords = (password,) if second is None else (password, second)
    logins = tuple(login(asked, user, domain, each) for each in passwords)
    return Credentials(logins, found.warnings)


def first(*sources: Secret | None) -> Secret | None:
    """The first that was given, be it empty."""
    return next((source for source in sources if source is not None), None)


def anonymous() -> Login:
    """A login that shows no identity."""
    return Login("", Secret(""), kind="none", may_be_guest=True)


def login(asked: Asked, user: str, domain: str, password: Secret) -> Login:
    """A login of the kind that was asked for."""
    return Login(
        user,
        password,
        domain,
        kind=asked.kind,
        domain_auto=asked.domain_auto,
        may_be_guest=asked.guest,
    )


def own_name(environ: Mapping[str, str]) -> str:
    """The user to log in as if nobody says: ``$USER``, then the login name."""
    if name := environ.get("USER"):
        return name
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        raise CredentialsError("There is no user name: write `username=NAME`.") from None


def split_user(name: str, stated: str | None, found: str | None = None) -> tuple[str, str]:
    """User and domain of ``DOMAIN\\user``; ``user@REALM`` stays whole, as NTLM and Kerberos like.

    A domain that is stated in the option list beats one of the credentials file.
    """
    domain = stated if stated is not None else found
    before, backslash, user = name.partition("\\")
    if not backslash:
        return name, domain or ""
    if not user:
        raise CredentialsError("The user name ends at its backslash: write `DOMAIN\\user`.")
    if domain and domain.casefold() != before.casefold():
        raise CredentialsError(
            f"The user name says domain `{before}`, but the domain is given as `{domain}`."
        )
    return user, before


def prompt(user: str, what: str, ask: Ask) -> Secret:
    """Ask a person."""
    answer = ask(f"Password for {user} on {what}: ")
    if answer is None:
        raise CredentialsError(NOBODY_TO_ASK)
    return Secret(answer)


def ask_person(question: str) -> str | None:
    """Ask on the terminal, else through systemd; None if there is neither."""
    answer = ask_terminal(question)
    return ask_systemd(question) if answer is None else answer


def ask_terminal(question: str, terminal: str = "/dev/tty") -> str | None:
    """Ask on the controlling terminal, without echo; None if there is none."""
    try:
        os.close(os.open(terminal, os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return None
    try:
        return getpass.getpass(question)
    except EOFError:
        raise CredentialsError("The terminal was closed before a password was given.") from None


def ask_systemd(question: str, running: str = "/run/systemd/system") -> str | None:
    """Ask whoever systemd finds: the console at boot, an agent; None if there is no systemd."""
    program = shutil.which("systemd-ask-password")
    if program is None or not os.path.isdir(running):
        return None
    answer = subprocess.run(
        [program, question], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False
    )
    if answer.returncode != 0:
        raise CredentialsError("Nobody answered systemd-ask-password with a password.")
    return decode(answer.stdout.removesuffix(b"\n"), "The password")


def from_environment(taken: Mapping[str, str], name: str) -> Secret | None:
    """The password that a variable holds or points at; ``name`` is PASSWD or PASSWD2."""
    if name in taken:
        return Secret(taken[name])
    if (number := taken.get(f"{name}_FD")) is not None:
        return Secret(decode(read_line(descriptor(number, f"{name}_FD")), f"{name}_FD"))
    if (path := taken.get(f"{name}_FILE")) is not None:
        return Secret(decode(read_line(open_file(path)), path))
    return None


def descriptor(number: str, name: str) -> int:
    """An open descriptor by its number."""
    if re.fullmatch(r"[0-9]{1,9}", number, re.ASCII) is None:
        raise CredentialsError(f"{name} must be the number of an open descriptor.")
    return int(number)


def open_file(path: str) -> int:
    """A descriptor of the file, which a child will not inherit."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None


def unreadable(name: str, error: OSError | ValueError) -> CredentialsError:
    """What to say of a file or descriptor that does not read."""
    reason = (error.strerror if isinstance(error, OSError) else None) or "that is no file name"
    return CredentialsError(f"Cannot read the password from {name}: {reason}.", FILE_IO)


def read_line(number: int) -> bytes:
    """The first line of a descriptor, which is closed; byte by byte, as others may read on."""
    line = bytearray()
    try:
        while (byte := os.read(number, 1)) not in (b"", b"\n"):
            line += byte
            if len(line) > LARGEST_FILE:
                raise CredentialsError("The password is longer than a mebibyte.", FILE_IO)
    except OSError as error:
        raise unreadable(f"descriptor {number}", error) from None
    finally:
        close(number)
    return bytes(line.removesuffix(b"\r"))


def close(number: int) -> None:
    """Close a descriptor that was for us alone; the standard ones were not."""
    if number > 2:
        try:
            os.close(number)
        except OSError:
            return  # it was never open, which the reader has said


def read_all(number: int, name: str) -> bytes:
    """Everything a descriptor holds; closes it."""
    data = bytearray()
    try:
        while piece := os.read(number, 65536):
            data += piece
            if len(data) > LARGEST_FILE:
                raise CredentialsError(f"{name} is too long for a credentials file.", FILE_IO)
    except OSError as error:
        raise unreadable(name, error) from None
    finally:
        close(number)
    return bytes(data)


def read_credentials(
    source: str, *, insecure: bool = False, environ: Mapping[str, str] | None = None
) -> Found:
    """Read ``credentials=``: a path, ``fd:N`` or ``systemd:NAME``; raises CredentialsError."""
    environ = os.environ if environ is None else environ
    kind, colon, rest = source.partition(":")
    if colon and kind == "fd":
        return parse_credentials(read_all(descriptor(rest, "The N of `fd:N`"), source), source)
    path = systemd_path(rest, environ) if colon and kind == "systemd" else source
    number = open_file(path)
    mode = os.fstat(number).st_mode
    is_open = stat.S_ISREG(mode) and bool(mode & (stat.S_IRGRP | stat.S_IROTH))
    if is_open and not insecure:
        close(number)
        raise CredentialsError(OPEN_FILE.format(name=path))
    lax = (LAX_FILE.format(name=path),) if is_open else ()
    return parse_credentials(read_all(number, path), path, lax)


def systemd_path(name: str, environ: Mapping[str, str]) -> str:
    """The file of a systemd credential, [systemd.exec(5), LoadCredential=]."""
    if not name or "/" in name or name in (".", ".."):
        raise CredentialsError("A systemd credential has a plain name: `systemd:NAME`.")
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        raise CredentialsError(
            f"There is no credential `{name}`: systemd gave this process none (`LoadCredential=`)."
        )
    return os.path.join(directory, name)


def parse_credentials(data: bytes, name: str, warnings: tuple[str, ...] = ()) -> Found:
    """Read the lines of a credentials file; ``name`` is for the sentences."""
    values: dict[str, str] = {}
    said = list(warnings)
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        key, equals, value = line.removesuffix(b"\r").lstrip(b" \t").partition(b"=")
        if not equals or key.startswith(b"#"):
            continue
        place = f"{name}, line {number}"
        meaning = meaning_of(key.lower())
        if meaning is None:
            said.append(f"{place} is skipped: its key is not known.{suggestion(key)}")
        else:
            values[meaning] = decode(value, place)
    if not values:
        raise CredentialsError(f"{name} has no line `username=`, `password=` or `domain=`.")
    return Found(
        username=values.get("username"),
        domain=values.get("domain"),
        password=secret(values.get("password")),
        password2=secret(values.get("password2")),
        warnings=tuple(said),
    )


def meaning_of(key: bytes) -> str | None:
    """What a key stands for; only its beginning counts."""
    return next((m for known, m in KEYS.items() if key.startswith(known.encode())), None)


def suggestion(key: bytes) -> str:
    """The key that was probably meant; the one in the file is not repeated."""
    close = difflib.get_close_matches(key.decode(errors="replace").lower().strip(), SPELLINGS, 1)
    return f" Did you mean `{close[0]}=`?" if close else ""


def secret(value: str | None) -> Secret | None:
    """A value that does not show itself."""
    return None if value is None else Secret(value)


def decode(data: bytes, place: str) -> str:
    """The text of a value, which is UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise CredentialsError(f"{place} is not UTF-8.") from None


SHOWN_ARGUMENTS = re.compile(
    rb"""(?:^|[\0,]|-o\s*|\s)pass(?:word)?2?=("[^"\0]*"|[^,\0]*)"""
    rb"""|(?:smb|cifs)://[^/\0@:]*:([^/\0]*)@""",
    re.IGNORECASE,
)
SHOWN_VARIABLES = re.compile(rb"(?:^|\0)PASSWD2?=([^\0]*)")
ARGUMENTS, ENVIRONMENT = 45, 47  # arg_start and env_start in proc_pid_stat(5), after the name


def masked(memory: bytes, shown: re.Pattern[bytes]) -> bytes:
    """The same bytes with every secret starred out, and no longer or shorter."""
    hidden = bytearray(memory)
    for match in shown.finditer(memory):
        for start, end in match.regs[1:]:
            if start >= 0:
                hidden[start:end] = b"*" * (end - start)
    return bytes(hidden)


def hide(process: str = "/proc/self") -> bool:
    """Star out passwords in our own argv and environment as ``ps`` shows them; best effort.

    Through ``mem``, since a wrong address is then an error and not a crash.  Python works on
    copies, so call it at any time; tells whether it could be done.
    """
    try:
        with open(f"{process}/stat", "rb") as status:
            numbers = status.read().rpartition(b")")[2].split()
        with open(f"{process}/mem", "r+b", buffering=0) as memory:
            for field, shown in ((ARGUMENTS, SHOWN_ARGUMENTS), (ENVIRONMENT, SHOWN_VARIABLES)):
                start, end = int(numbers[field]), int(numbers[field + 1])
                memory.seek(start)
                seen = memory.read(end - start)
                memory.seek(start)
                memory.write(masked(seen, shown))
    except (OSError, ValueError, IndexError, OverflowError):
        return False
    return True
