"""The credentials file: what its lines mean, and what is said of a bad one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from smbfs.auth import Secret
from smbfs.credentials import read_credentials
from tests.test_credentials import pipe, refusal


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], str]:
    def written(content: bytes, mode: int = 0o600) -> str:
        path = tmp_path / "cred"
        path.write_bytes(content)
        path.chmod(mode)
        return str(path)

    return written


@pytest.mark.parametrize(
    ("content", "username", "password", "password2", "domain"),
    [
        (b"username=me\npassword=pw\ndomain=WORK\n", "me", "pw", None, "WORK"),
        (b"user=me\r\npass=pw\r\ndom=W\r\npass2=second", "me", "pw", "second", "W"),
        (b"USERNAME=me\nPassWord=pw\npassword2=p2\nworkgroup=W", "me", "pw", "p2", "W"),
        (b"\t user name=me\npassphrase=pw", "me", "pw", None, None),
        (b'password= a,b="c"#d \nuser=', "", ' a,b="c"#d ', None, None),
        (
            "\ufeffusername=j\u00f6rg\npassword=\U0001f511\x01\r".encode(),
            "j\u00f6rg",
            "\U0001f511\x01",
            None,
            None,
        ),
        (b"# password=old\n\n   \nnothing here\npassword=new\n", None, "new", None, None),
        (b"password=one\npassword=two", None, "two", None, None),
        (b"password=" + b"x" * 10000, None, "x" * 10000, None, None),
        (b"username=WORK\\me", "WORK\\me", None, None, None),
    ],
)
def test_file(
    write: Callable[[bytes], str],
    content: bytes,
    username: str | None,
    password: str | None,
    password2: str | None,
    domain: str | None,
) -> None:
    found = read_credentials(write(content))
    assert found.username == username
    assert found.password == (None if password is None else Secret(password))
    assert found.password2 == (None if password2 is None else Secret(password2))
    assert found.domain == domain
    assert found.warnings == ()


def test_a_misspelt_key_is_a_warning_that_does_not_repeat_the_line(
    write: Callable[[bytes], str],
) -> None:
    path = write(b"username=me\npasword=hunter2\nhunter3=x\n")
    found = read_credentials(path)
    assert found.warnings == (
        f"{path}, line 2 is skipped: its key is not known. Did you mean `password=`?",
        f"{path}, line 3 is skipped: its key is not known.",
    )
    assert found.password is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_file_that_others_read_is_refused_unless_insecure(
    write: Callable[..., str], mode: int
) -> None:
    path = write(b"password=pw", mode)
    error = refusal(lambda: read_credentials(path))
    assert str(error) == (
        f"{path} can be read by other users. Run `chmod 600 {path}`, or add `insecure` "
        "if that is intended."
    )
    found = read_credentials(path, insecure=True)
    assert found.password == Secret("pw")
    assert found.warnings == (f"{path} can be read by other users; `insecure` allows it.",)


def test_a_file_that_says_nothing_is_malformed(write: Callable[[bytes], str]) -> None:
    for content in (b"", b"hunter2\n", b"pasword=hunter2\n"):
        error = refusal(lambda content=content: read_credentials(write(content)))  # type: ignore[misc]  # a default
        assert "has no line `username=`" in str(error)
        assert "hunter2" not in str(error)
        assert error.exit_status == 1


def test_a_value_is_utf_8(write: Callable[[bytes], str]) -> None:
    path = write(b"username=me\npassword=\xff\xfe\n")
    assert str(refusal(lambda: read_credentials(path))) == f"{path}, line 2 is not UTF-8."


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    error = refusal(lambda: read_credentials(str(missing)))
    assert str(error) == (f"Cannot read the password from {missing}: No such file or directory.")
    assert error.exit_status == 16
    assert "Is a directory" in str(refusal(lambda: read_credentials(str(tmp_path))))
    assert "that is no file name" in str(refusal(lambda: read_credentials("a\0b")))


def test_an_endless_file_is_refused() -> None:
    error = refusal(lambda: read_credentials("/dev/zero"))
    assert str(error) == "/dev/zero is too long for a credentials file."


def test_a_descriptor_is_read_and_closed() -> None:
    reader = pipe(b"username=me\npassword=pw\n")
    assert read_credentials(f"fd:{reader}").password == Secret("pw")
    error = refusal(lambda: read_credentials(f"fd:{reader}"))
    assert "Bad file descriptor" in str(error)
    assert "number of an open descriptor" in str(refusal(lambda: read_credentials("fd:x")))


def test_a_systemd_credential(write: Callable[[bytes], str]) -> None:
    directory = os.path.dirname(write(b"password=pw"))
    environ = {"CREDENTIALS_DIRECTORY": directory}
    assert read_credentials("systemd:cred", environ=environ).password == Secret("pw")
    for name in ("systemd:", "systemd:a/b", "systemd:.."):
        error = refusal(lambda name=name: read_credentials(name, environ=environ))  # type: ignore[misc]  # a default
        assert "plain name" in str(error)
    assert "`LoadCredential=`" in str(refusal(lambda: read_credentials("systemd:a", environ={})))
