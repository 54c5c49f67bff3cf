"""The table against the document: every name, its action, and what a mount gets."""

from __future__ import annotations

import dataclasses
import logging

import pytest

from smbfs.options import MountOptions, OptionError, parse
from smbfs.options.row import Action
from smbfs.options.table import FLAGS, NAMES, ROWS, SECURITY, VALUES, find, nearest
from tests.options.names import CASES, Case

IDS = [case.text for case in CASES]


def sample(case: Case, *more: str) -> MountOptions:
    return parse("//server/share/dir", [case.text, *more], is_root=True, uid=0, gid=0)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_every_name_is_classed_as_the_document_says(case: Case) -> None:
    row = find(case.name, "=" in case.text)
    assert row is not None
    assert row.action is case.action


@pytest.mark.parametrize("case", [case for case in CASES if not case.fails], ids=lambda c: c.text)
def test_what_can_be_had_is_taken(case: Case) -> None:
    notes = sample(case).notes
    if case.action is Action.ACCEPT:
        assert [note.level for note in notes] == [logging.DEBUG]
        assert f"`{case.name}`" in notes[0].text
    if case.action is Action.IGNORE:
        assert notes == ()


@pytest.mark.parametrize("case", [case for case in CASES if case.fails], ids=lambda c: c.text)
def test_what_cannot_be_had_is_refused_with_a_sentence(case: Case) -> None:
    with pytest.raises(OptionError) as refusal:
        sample(case)
    sentence = str(refusal.value)
    assert sentence.endswith((".", "?"))
    assert "\n" not in sentence
    assert "{" not in sentence
    assert refusal.value.exit_status == 1
    if case.action is not Action.REFUSE:
        assert f"`{case.name}" in sentence
        assert "not built yet" in sentence


def test_no_name_is_only_in_the_table() -> None:
    listed = {case.name for case in CASES if not case.name.startswith(("x-", "X-"))}
    assert listed == NAMES


def test_no_name_has_two_rows() -> None:
    flags = [name for row in ROWS for name in row.names if row.read is None]
    valued = [name for row in ROWS for name in row.names if row.read is not None]
    assert len(flags) == len(set(flags))
    assert len(valued) == len(set(valued))
    assert set(flags) & set(valued) == {"user", "comment"}


def test_every_row_fills_a_field_that_exists() -> None:
    groups = {
        group.name: {field.name for field in dataclasses.fields(getattr(blank, group.name))}
        for blank in [parse("//server/share", [])]
        for group in dataclasses.fields(MountOptions)
        if group.name not in ("service", "notes")
    }
    for row in ROWS:
        for target in filter(None, (row.to, *row.sets)):
            group, _, field = target.partition(".")
            assert group == "raw" or field in groups[group], row.names


def test_security_names_are_known() -> None:
    assert set(SECURITY) <= NAMES


def test_a_row_is_found_in_the_form_it_was_written() -> None:
    assert find("user", True) is VALUES["user"]
    assert find("user", False) is FLAGS["user"]
    assert find("uid", False) is None
    assert find("x-gvfs-show", False) is find("x-gvfs-name", True) is FLAGS["comment"]


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("sael", "seal"),
        ("SEAL", "seal"),
        ("usrname", "username"),
        ("filemode", "file_mode"),
        ("secx", "sec"),
        ("qqqqqqqqqqqq", ""),
    ],
)
def test_nearest_name(name: str, known: str) -> None:
    assert nearest(name) == known
