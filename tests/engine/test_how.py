"""How files are opened: few rights, and the right disposition for each meaning of open(2)."""

from __future__ import annotations

import os

import pytest

from smbfs.engine.how import How
from smbfs.wire.constants import Access, Disposition, Options

SEEN = Access.FILE_READ_ATTRIBUTES
WRITE = Access.FILE_WRITE_DATA | Access.FILE_APPEND_DATA


@pytest.mark.parametrize(
    "how",
    [
        How.looking(),
        How.changing(),
        How.deleting(),
        How.renaming(),
        How.reading_eas(),
        How.writing_eas(),
        How.making_directory(),
        How.making_reparse(),
    ],
)
def test_what_concerns_a_name_opens_the_name_itself(how: How) -> None:
    assert how.options & Options.OPEN_REPARSE_POINT
    assert how.access & SEEN
    assert how.share == 7


@pytest.mark.parametrize("how", [How.reading(), How.writing(), How.resizing(), How.listing()])
def test_what_concerns_data_lets_the_server_look_for_it(how: How) -> None:
    assert not how.options & Options.OPEN_REPARSE_POINT


def test_a_stat_asks_for_one_right() -> None:
    assert How.looking().access == SEEN


@pytest.mark.parametrize(
    ("directory", "options"),
    [(True, Options.DIRECTORY_FILE), (False, Options.NON_DIRECTORY_FILE), (None, 0)],
)
def test_deleting_can_be_choosy(directory: bool | None, options: int) -> None:
    assert How.deleting(directory).options == options | Options.OPEN_REPARSE_POINT


@pytest.mark.parametrize(
    ("directory", "options"),
    [(True, Options.DIRECTORY_FILE), (False, Options.NON_DIRECTORY_FILE)],
)
def test_links_are_files_or_directories(directory: bool, options: int) -> None:
    assert How.making_reparse(directory).options & options


@pytest.mark.parametrize(
    ("flags", "access", "disposition"),
    [
        (os.O_RDONLY, Access.FILE_READ_DATA, Disposition.OPEN),
        (os.O_WRONLY, WRITE, Disposition.OPEN),
        (os.O_RDWR, Access.FILE_READ_DATA | WRITE, Disposition.OPEN),
        (os.O_WRONLY | os.O_CREAT, WRITE, Disposition.OPEN_IF),
        (os.O_WRONLY | os.O_CREAT | os.O_TRUNC, WRITE, Disposition.OPEN_IF),
        (os.O_WRONLY | os.O_CREAT | os.O_EXCL, WRITE, Disposition.CREATE),
        (os.O_RDONLY | os.O_TRUNC, Access.FILE_READ_DATA | WRITE, Disposition.OPEN),
    ],
)
def test_the_flags_of_open(flags: int, access: int, disposition: int) -> None:
    how = How.opening(flags)
    assert (how.access, how.disposition) == (SEEN | access, disposition)
    assert how.options == Options.NON_DIRECTORY_FILE


@pytest.mark.parametrize("flag", [os.O_SYNC, os.O_DSYNC])
def test_synchronous_files_are_written_through(flag: int) -> None:
    assert How.opening(os.O_WRONLY | flag).options & Options.WRITE_THROUGH


def test_a_new_file_may_be_born_with_attributes() -> None:
    assert How.opening(os.O_CREAT, attributes=1).attributes == 1


def test_contexts_add_up() -> None:
    how = How.looking().with_context(b"MxAc").with_context(b"QFid", b"x")
    assert how.contexts == ((b"MxAc", b""), (b"QFid", b"x"))


@pytest.mark.parametrize(
    ("how", "is_so"),
    [
        (How.looking(), True),
        (How.reading(), True),
        (How.listing(), True),
        (How.reading_eas(), True),
        (How.touching(), True),
        (How.writing(), False),
        (How.resizing(), False),
        (How.changing(), False),
        (How.writing_eas(), False),
        (How.deleting(), False),
        (How.renaming(), False),
        (How.making_directory(), False),
        (How.opening(os.O_RDONLY | os.O_CREAT), False),
        (How.opening(os.O_RDONLY | os.O_CREAT).again(), True),
        (How.opening(os.O_RDONLY | os.O_TRUNC), False),
    ],
)
def test_what_changes_nothing_may_be_asked_twice(how: How, is_so: bool) -> None:
    assert how.changes_nothing is is_so
