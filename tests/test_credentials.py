"""Where passwords come from, in which order, and that none of them stays in sight."""

from __future__ import annotations

import getpass
import os
import pwd
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from smbfs import credentials
from smbfs.auth import Login, Secret
from smbfs.credentials import Asked, Credentials, CredentialsError, gather, read_credentials

WHAT = "//nas/music"


def asked(**more: object) -> Asked:
    return Asked(**({"what": WHAT, "username": "me"} | more))  # type: ignore[arg-type]  # by name


def nobody(question: str) -> str | None:
    raise AssertionError(f"asked: {question}")


def only(result: Credentials) -> Login:
    (login,) = result.logins
    return login


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], str]:
    def written(content: bytes, mode: int = 0o600) -> str:
        path = tmp_path / "cred"
        path.write_bytes(content)
        path.chmod(mode)
        return str(path)

    return written


def pipe(content: bytes) -> int:
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)
    return reader


def refusal(call: Callable[[], object]) -> CredentialsError:
    with pytest.raises(CredentialsError) as error:
        call()
    assert str(error.value).endswith(".")
    assert "\n" not in str(error.value)
    return error.value


# the order


def test_the_first_source_wins_and_variables_leave(write: Callable[[bytes], str]) -> None:
    path = write(b"password=of file\npassword2=second of file\n")
    sources: list[tuple[dict[str, object], dict[str, str], str]] = [
        ({"credentials": path, "password": Secret("of option")}, {"PASSWD": "v"}, "of file"),
        ({"password": Secret("of option")}, {"PASSWD": "v", "PASSWD_FD": "99"}, "v"),
        ({"password": Secret("of option")}, {"PASSWD_FD": "fd", "PASSWD_FILE": "none"}, "of fd"),
        ({"password": Secret("of option")}, {"PASSWD_FILE": path}, "password=of file"),
        ({"password": Secret("of option")}, {}, "of option"),
        ({"password": Secret("")}, {}, ""),
    ]
    for options, environ, expected in sources:
        if environ.get("PASSWD_FD") == "fd":
            environ["PASSWD_FD"] = str(pipe(b"of fd\r\nnot this\n"))
        login = gather(asked(**options), environ, nobody).logins[0]
        assert login == Login("me", Secret(expected))
        assert environ == {}


def test_the_second_password_makes_a_second_login(write: Callable[[bytes], str]) -> None:
    path = write(b"pass=a\npass2=b\n")
    options = asked(credentials=path, password2=Secret("c"), domain="WORK", domain_auto=True)
    result = gather(options, {"PASSWD2": "v"}, nobody)
    assert result.logins == (
        Login("me", Secret("a"), "WORK", domain_auto=True),
        Login("me", Secret("b"), "WORK", domain_auto=True),
    )
    for environ in ({"PASSWD2": "v"}, {"PASSWD2_FD": str(pipe(b"v"))}):
        result = gather(asked(password=Secret("a")), environ, nobody)
        assert [login.password.reveal() for login in result.logins] == ["a", "v"]


def test_an_empty_password_counts_as_given() -> None:
    assert only(gather(asked(), {"PASSWD": ""}, nobody)).password == Secret("")


def test_warnings_of_the_file_are_handed_on(write: Callable[..., str]) -> None:
    path = write(b"pass=a\n", 0o644)
    result = gather(asked(credentials=path, insecure=True), {}, nobody)
    assert result.warnings == (f"{path} can be read by other users; `insecure` allows it.",)


def test_the_real_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWD", "pw")
    assert only(gather(asked())).password == Secret("pw")
    assert "PASSWD" not in os.environ


@pytest.mark.parametrize("number", ["x", "", "-1", "987654321"])
def test_a_wrong_descriptor_in_the_environment(number: str) -> None:
    error = refusal(lambda: gather(asked(), {"PASSWD_FD": number}, nobody))
    assert "descriptor" in str(error)


def test_a_password_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "LARGEST_FILE", 9)
    error = refusal(lambda: gather(asked(), {"PASSWD_FILE": "/dev/zero"}, nobody))
    assert "longer than a mebibyte" in str(error)


def test_the_standard_input_stays_open() -> None:
    script = (
        "from smbfs.credentials import *\n"
        "import os\n"
        "print(gather(Asked(what='x', username='me')).logins[0].password.reveal())\n"
        "print(os.read(0, 9).decode(), end='')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        input=b"first\nrest",
        env={"PASSWD_FD": "0", "PYTHONPATH": str(Path(__file__).parent.parent)},
        stdout=subprocess.PIPE,
        check=True,
    )
    assert done.stdout == b"first\nrest"


def test_the_standard_descriptors_are_not_closed() -> None:
    credentials.close(0)
    os.fstat(0)


# who


@pytest.mark.parametrize(
    ("name", "stated", "found", "user", "domain"),
    [
        ("me", None, None, "me", ""),
        ("me", "WORK", "FILE", "me", "WORK"),
        ("me", "", "FILE", "me", ""),
        ("me", None, "FILE", "me", "FILE"),
        ("WORK\\me", None, None, "me", "WORK"),
        ("WORK\\me", "work", None, "me", "WORK"),
        ("me@EXAMPLE.ORG", None, None, "me@EXAMPLE.ORG", ""),
        ("me%pw", None, None, "me%pw", ""),
    ],
)
def test_user_and_domain(
    name: str, stated: str | None, found: str | None, user: str, domain: str
) -> None:
    assert credentials.split_user(name, stated, found) == (user, domain)


def test_a_user_that_makes_no_sense() -> None:
    error = refusal(lambda: credentials.split_user("WORK\\", None))
    assert str(error) == "The user name ends at its backslash: write `DOMAIN\\user`."
    error = refusal(lambda: credentials.split_user("WORK\\me", "HOME"))
    assert str(error) == ("The user name says domain `WORK`, but the domain is given as `HOME`.")


def test_the_option_beats_the_file_beats_the_environment(write: Callable[[bytes], str]) -> None:
    path = write(b"user=FILE\\filer\npass=pw")
    environ = {"USER": "env"}
    named = gather(asked(credentials=path), environ, nobody)
    assert only(named) == Login("me", Secret("pw"))
    unnamed = gather(asked(credentials=path, username=""), environ, nobody)
    assert only(unnamed) == Login("filer", Secret("pw"), "FILE")
    alone = gather(asked(password=Secret("pw"), username=""), environ, nobody)
    assert only(alone) == Login("env", Secret("pw"))


def test_the_login_name_is_the_last_resort(monkeypatch: pytest.MonkeyPatch) -> None:
    assert credentials.own_name({"USER": ""}) == pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setattr(os, "getuid", lambda: 2**31)
    assert "`username=NAME`" in str(refusal(lambda: credentials.own_name({})))


def test_an_anonymous_login_asks_nobody_and_reads_nothing() -> None:
    environ = {"PASSWD": "pw", "PASSWD2_FD": "5"}
    login = only(gather(asked(kind="none", credentials="/none"), environ, nobody))
    assert login == Login("", Secret(""), kind="none", may_be_guest=True)
    assert environ == {}


def test_a_guest_without_a_name_tries_two_ways(write: Callable[[bytes], str]) -> None:
    result = gather(asked(username="", guest=True), {"USER": "env"}, nobody)
    assert result.logins == (
        Login("", Secret(""), kind="none", may_be_guest=True),
        Login("guest", Secret(""), may_be_guest=True),
    )


def test_a_guest_with_a_name_or_password_uses_it() -> None:
    named = only(gather(asked(guest=True), {}, nobody))
    assert named == Login("me", Secret(""), may_be_guest=True)
    known = only(gather(asked(guest=True, password=Secret("pw")), {}, nobody))
    assert known == Login("me", Secret("pw"), may_be_guest=True)


# asking


def test_a_person_is_asked_last() -> None:
    questions: list[str] = []

    def answer(question: str) -> str:
        questions.append(question)
        return "pw"

    login = only(gather(asked(username="WORK\\me"), {}, answer))
    assert login == Login("me", Secret("pw"), "WORK")
    assert questions == ["Password for me on //nas/music: "]


def test_nobody_to_ask() -> None:
    assert "nobody to ask" in str(refusal(lambda: gather(asked(), {}, lambda _: None)))


def test_the_terminal_before_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "ask_terminal", lambda question: "typed")
    monkeypatch.setattr(credentials, "ask_systemd", lambda question: "agent")
    assert credentials.ask_person("?") == "typed"
    monkeypatch.setattr(credentials, "ask_terminal", lambda question: None)
    assert credentials.ask_person("?") == "agent"


def test_asking_on_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert credentials.ask_terminal("?", "/none/tty") is None
    monkeypatch.setattr(getpass, "getpass", lambda question: f"{question} yes")
    assert credentials.ask_terminal("?", os.devnull) == "? yes"

    def closed(question: str) -> str:
        raise EOFError

    monkeypatch.setattr(getpass, "getpass", closed)
    assert "was closed" in str(refusal(lambda: credentials.ask_terminal("?", os.devnull)))


def test_asking_through_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "systemd-ask-password"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert credentials.ask_systemd("?", str(tmp_path)) is None
    program.write_text('#!/bin/sh\nprintf "pw of %s\\n" "$1"\n')
    program.chmod(0o755)
    assert credentials.ask_systemd("?", str(tmp_path / "none")) is None
    assert credentials.ask_systemd("me", str(tmp_path)) == "pw of me"
    program.write_text("#!/bin/sh\nexit 1\n")
    assert "Nobody answered" in str(refusal(lambda: credentials.ask_systemd("?", str(tmp_path))))


# hiding


@pytest.mark.parametrize(
    ("shown", "hidden"),
    [
        (b"mount\0-o\0ro,password=pw,uid=5\0", b"mount\0-o\0ro,password=**,uid=5\0"),
        (b"-o\0pass=a\0-o\0pass2=bb,password2=ccc", b"-o\0pass=*\0-o\0pass2=**,password2=***"),
        (b'-opassword="a,b",ro\0', b"-opassword=*****,ro\0"),
        (b'password="a,b\0x', b"password=**,b\0x"),
        (b"smb://me:p@w@nas/s\0smb://me@nas/s", b"smb://me:***@nas/s\0smb://me@nas/s"),
        (b"--user\0compass=north,bypass=1\0", b"--user\0compass=north,bypass=1\0"),
    ],
)
def test_what_is_masked_in_the_arguments(shown: bytes, hidden: bytes) -> None:
    assert credentials.masked(shown, credentials.SHOWN_ARGUMENTS) == hidden


def test_what_is_masked_in_the_environment() -> None:
    memory = b"PASSWD=pw\0PASSWD_FD=3\0PASSWD2=two\0MYPASSWD=x\0"
    assert credentials.masked(memory, credentials.SHOWN_VARIABLES) == (
        b"PASSWD=**\0PASSWD_FD=3\0PASSWD2=***\0MYPASSWD=x\0"
    )


def test_a_process_hides_its_secrets() -> None:
    script = (
        "from smbfs.credentials import *\n"
        "assert hide()\n"
        "print(open('/proc/self/cmdline').read(), open('/proc/self/environ').read())\n"
        "print(gather(Asked(what='x', username='me')).logins[0].password.reveal()[::-1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "//nas/music", "/mnt", "-o", "ro,password=hunter2,uid=5"],
        env={"PASSWD": "hunter3", "PYTHONPATH": str(Path(__file__).parent.parent)},
        stdout=subprocess.PIPE,
        check=True,
    )
    assert b"hunter" not in done.stdout
    assert b"ro,password=*******,uid=5" in done.stdout
    assert done.stdout.endswith(b"3retnuh\n")


def test_memory_is_changed_in_place(tmp_path: Path) -> None:
    fields = ["S", *["0"] * 44, "3", "14", "14", "25", "0"]
    (tmp_path / "stat").write_text(f"1 (a) b) {' '.join(fields)}")
    (tmp_path / "mem").write_bytes(b"...\0pass=pw,ro\0PASSWD=pw\0...")
    assert credentials.hide(str(tmp_path))
    assert (tmp_path / "mem").read_bytes() == b"...\0pass=**,ro\0PASSWD=**\0..."


def test_hiding_is_only_an_attempt(tmp_path: Path) -> None:
    assert not credentials.hide(str(tmp_path))
    (tmp_path / "stat").write_text("1 (a) b) S 1 2 3\n")
    (tmp_path / "mem").write_bytes(b"")
    assert not credentials.hide(str(tmp_path))


def test_no_repr_shows_a_secret(write: Callable[[bytes], str]) -> None:
    path = write(b"pass=hunter2\npass2=hunter3")
    options = asked(credentials=path, password=Secret("hunter4"))
    assert "hunter" not in repr((options, read_credentials(path), gather(options, {}, nobody)))
