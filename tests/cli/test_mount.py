"""The mount command without a server: what is said, which exit status, what is handed on."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

import smbfs
from smbfs import mountpoint
from smbfs.cli import mount
from smbfs.cli.daemon import Background, Report
from smbfs.mount import Interrupted, MountFailed

SHARE = "//nas.invalid/music"


class Run:
    """Stands for `smbfs.mount.run`: notes what it is given, then does what the test says."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.given: tuple[Any, ...] = ()

    async def __call__(
        self,
        options: Any,
        where: str,
        logins: Callable[[], Any],
        ready: Callable[[], None],
        stopping: Callable[[], None],
    ) -> None:
        await trio.lowlevel.checkpoint()
        self.given = (options, where, logins())
        if self.error is not None:
            raise self.error
        ready()
        stopping()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    stand_in = Run()
    monkeypatch.setattr(mount, "run", stand_in)
    return stand_in


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No test may mount, touch the log of this process or tell systemd."""
    told: list[str] = []
    monkeypatch.setattr(mountpoint, "check", os.path.realpath)
    monkeypatch.setattr(mount, "notify", told.append)
    monkeypatch.setattr(mount, "open_log", lambda target, *, to_terminal: None)
    monkeypatch.setattr(mount, "hide", lambda: None)
    return told


@pytest.fixture
def credentials(tmp_path: Path) -> str:
    file = tmp_path / "credentials"
    file.write_text("username=me\npassword=not to be seen\n")
    file.chmod(0o600)
    return f"credentials={file}"


def command(*words: str, is_helper: bool = False) -> int:
    return mount.main(words, is_helper=is_helper)


def test_in_the_foreground(run: Run, credentials: str, tmp_path: Path, here: list[str]) -> None:
    assert command("-f", SHARE, str(tmp_path), "-o", credentials) == 0
    options, where, logins = run.given
    assert (str(options.service), where) == (SHARE, str(tmp_path))
    assert logins[0].username == "me"
    assert here == ["READY=1", "STOPPING=1"]


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("-h") == 0
    assert "mount -t smbfs" in capsys.readouterr().out
    assert command("-V") == 0
    assert capsys.readouterr().out == f"smbfs {smbfs.__version__}\n"


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (MountFailed("no such share"), 32, "smbfs: No such share.\n"),
        (Interrupted("interrupted"), 8, "smbfs: Interrupted.\n"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_became_of_the_mount(
    error: BaseException,
    status: int,
    said: str,
    run: Run,
    credentials: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run.error = error
    assert command("-f", SHARE, str(tmp_path), "-o", credentials) == status
    assert capsys.readouterr().err == said


@pytest.mark.logs("CRITICAL smbfs.cli.mount: bug")
@pytest.mark.parametrize("error", [KeyError("x"), SystemExit(0)])
def test_a_bug(
    error: BaseException,
    run: Run,
    credentials: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run.error = error
    assert command("-f", SHARE, str(tmp_path), "-o", credentials) == 4
    assert "Internal error, please report it" in capsys.readouterr().err


@pytest.mark.parametrize(("is_unreachable", "status"), [(True, 0), (False, 32)])
def test_nofail_forgives_an_unreachable_server_only(
    is_unreachable: bool,
    status: int,
    run: Run,
    credentials: str,
    tmp_path: Path,
    expect_log: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    if is_unreachable:
        expect_log("WARNING smbfs.cli.mount: away")
    run.error = MountFailed("away", is_unreachable=is_unreachable)
    assert command("-f", SHARE, str(tmp_path), "-o", f"{credentials},nofail") == status
    assert ("going on without it" in capsys.readouterr().err) == is_unreachable


def test_a_fake_mount_checks_everything_and_mounts_nothing(
    run: Run, credentials: str, tmp_path: Path
) -> None:
    assert command("-f", SHARE, str(tmp_path), "-o", credentials, is_helper=True) == 0
    assert run.given == ()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["-x"], 1, "-x is not a switch"),
        ([SHARE, "/", "-o", "sael"], 1, "did you mean `seal`"),
        ([SHARE, "/", "-o", "credentials=/nowhere"], 16, "cannot read the password"),
        (["nas/music", "/"], 1, "names no share"),
    ],
)
def test_words_and_options_that_make_no_sense(
    words: list[str], status: int, said: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*words) == status
    error = capsys.readouterr().err
    assert said in error.lower()
    assert error.count("\n") == 1
    assert error.endswith((".\n", "?\n"))
    assert run.given == ()


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (OSError(2, "the mount point x does not exist"), 32, "The mount point x does not exist."),
        (OSError("odd"), 32, "Odd."),
        (KeyboardInterrupt(), 8, "Interrupted; nothing is mounted."),
    ],
)
def test_a_mount_point_that_is_not_fit(
    error: BaseException,
    status: int,
    said: str,
    run: Run,
    credentials: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def check(path: str) -> str:
        raise error

    monkeypatch.setattr(mountpoint, "check", check)
    assert command(SHARE, "x", "-o", credentials) == status
    assert capsys.readouterr().err == f"smbfs: {said}\n"


@pytest.mark.logs("WARNING .*password")
def test_what_is_worth_a_warning_reaches_the_person(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("-f", SHARE, str(tmp_path), "-o", "username=me,password=hunter2") == 0
    error = capsys.readouterr().err
    assert error.startswith("smbfs: warning: Others can see")
    assert "hunter2" not in error


@pytest.mark.logs("WARNING smbfs.cli.mount: .*its key is not known")
def test_a_misspelt_credentials_file_is_worth_one(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "credentials"
    file.write_text("username=me\npassword=x\ndoamin=y\n")
    file.chmod(0o600)
    assert command("-f", SHARE, str(tmp_path), "-o", f"credentials={file}") == 0
    assert "Did you mean" in capsys.readouterr().err


# Log


@pytest.mark.parametrize(
    ("words", "level", "file"),
    [
        ([], "warn", ""),
        (["-v"], "info", ""),
        (["-o", "log=debug"], "debug", ""),
        (["-v", "-o", "log=debug:log"], "debug", "log"),
        (["-o", "log=error:/var/log/x"], "error", "/var/log/x"),
    ],
)
def test_the_log(
    words: list[str],
    level: str,
    file: str,
    run: Run,
    credentials: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened = []
    monkeypatch.setattr(
        mount, "open_log", lambda target, *, to_terminal: opened.append((target, to_terminal))
    )
    monkeypatch.chdir(tmp_path)
    assert command("-f", SHARE, str(tmp_path), "-o", credentials, *words) == 0
    [(target, to_terminal)] = opened
    assert target.level == level
    assert target.file == (str(tmp_path / file) if file else "")  # joining keeps an absolute one
    assert to_terminal


def test_a_log_that_cannot_be_written(
    run: Run,
    credentials: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refuse(target: object, *, to_terminal: bool) -> None:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(mount, "open_log", refuse)
    words = ("-f", SHARE, str(tmp_path), "-o", f"{credentials},log=info:/x/y")
    assert command(*words) == 16
    assert capsys.readouterr().err == "smbfs: Cannot write the log to /x/y: Permission denied.\n"


def test_notes_of_options_are_logged(
    run: Run, credentials: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert command("-f", SHARE, str(tmp_path), "-o", f"{credentials},witness") == 0
    assert "witness" in caplog.text


# Background


def test_the_parent_says_what_the_child_reports(
    run: Run,
    credentials: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(mount, "background", lambda: Report(0))
    assert command("-v", SHARE, str(tmp_path), "-o", credentials) == 0
    assert capsys.readouterr().out == f"{SHARE} is mounted on {tmp_path}\n"
    monkeypatch.setattr(mount, "background", lambda: Report(32, "no such share"))
    assert command("-v", SHARE, str(tmp_path), "-o", credentials) == 32
    assert capsys.readouterr() == ("", "smbfs: No such share.\n")


def test_the_child_reports_and_leaves(
    run: Run, credentials: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Left(BaseException):
        """What stands for the end of the child."""

    def leave(status: int) -> None:
        raise Left(status)

    run.error = MountFailed("no such share")
    reading, writing = os.pipe()
    monkeypatch.setattr(mount, "background", lambda: Background(writing))
    monkeypatch.setattr(mount, "leave", leave)
    with pytest.raises(Left) as error:
        command(SHARE, str(tmp_path), "-o", credentials)
    assert error.value.args == (32,)
    with os.fdopen(reading) as pipe:
        assert pipe.read() == '[32, "no such share"]'
