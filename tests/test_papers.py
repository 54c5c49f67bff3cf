"""The papers tell the truth about what can be checked: options, commands, drawings, versions."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import smbfs
from smbfs.cli.words import LONG_FORMS
from smbfs.options.row import Action, Row, Until
from smbfs.options.table import FLAGS, NAMES, VALUES, find

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "man").glob("*.[1-8]"))
README, CHANGELOG = ROOT / "README.md", ROOT / "CHANGELOG.md"
OPTIONS = ROOT / "man" / "mount.smbfs.8"

MARK = re.compile(r"\.Em (.*) \.")
OF_THIS_MACHINE = ("referenced manual not found", "outdated mandoc.db")


def items() -> list[tuple[str, str]]:
    """What the page says of options: the line that names some, and the text beneath it."""
    _, _, rest = OPTIONS.read_text().partition(".Ss The share and the server\n")
    section, _, _ = rest.partition("\n.Sh CREDENTIALS\n")
    parts = re.split(r"^\.It ", section, flags=re.MULTILINE)[1:]
    return [(head, body) for head, _, body in (part.partition("\n") for part in parts)]


def named(head: str) -> list[tuple[str, bool]]:
    """The options of such a line, and whether they are shown with a value."""
    shown = [part.removeprefix("Cm ").split() for part in head.split(" , ")]
    return [(words[0], words[1:3] == ["Ns", "="]) for words in shown]


def expected_mark(row: Row) -> str:
    """How the page has to mark an option of this row."""
    if row.refusal or row.action is Action.REFUSE:
        return "Refused"
    if row.later is not None and not row.later.values:
        return f"Not yet, {'refused' if row.later.until is Until.FAILS else 'taken'}"
    if row.action is Action.IGNORE and not (row.to or row.sets):
        return "Ignored"
    return "Accepted" if row.action is Action.ACCEPT else ""


ITEMS = items()


def test_the_page_names_every_option_and_no_other() -> None:
    told = {name for head, _ in ITEMS for name, _ in named(head)}
    assert told == NAMES


def test_no_option_is_told_twice() -> None:
    told = [one for head, _ in ITEMS for one in named(head)]
    assert sorted(told) == sorted(set(told))


@pytest.mark.parametrize(("head", "body"), ITEMS, ids=[head for head, _ in ITEMS])
def test_the_page_says_what_becomes_of_an_option(head: str, body: str) -> None:
    match = MARK.match(body)
    mark = match[1] if match else ""
    for name, has_value in named(head):
        row = find(name, has_value) or VALUES.get(name)
        assert row is not None, f"{name} is not shown as it is written"
        assert expected_mark(row) == mark, name


def test_the_page_shows_flags_as_flags_and_values_as_values() -> None:
    told = {one for head, _ in ITEMS for one in named(head)}
    for name, row in FLAGS.items():
        assert row.refusal or (name, False) in told, name
    for name, row in VALUES.items():
        assert row.refusal or (name, True) in told, name


def test_values_that_are_not_built_are_told_to_be_refused() -> None:
    for head, body in ITEMS:
        for name, _ in named(head):
            later = VALUES[name].later if name in VALUES else None
            if later is not None and later.values and later.until is Until.FAILS:
                assert "refused" in body or "systemd" in body, name


def test_the_command_s_page_knows_its_switches() -> None:
    page = (ROOT / "man" / "smbfs.1").read_text()
    for long in LONG_FORMS:
        if long.startswith("--") and long not in ("--ro", "--rw", "--no-mtab"):
            assert f"Fl -{long.removeprefix('--')}" in page, long


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_a_page_is_well_formed(page: Path) -> None:
    if shutil.which("mandoc") is None:
        pytest.skip("needs mandoc: packaging/bootstrap installs it")
    done = subprocess.run(
        ["mandoc", "-T", "lint", page], capture_output=True, text=True, timeout=30, check=False
    )
    lines = (done.stdout + done.stderr).splitlines()
    assert [line for line in lines if not any(known in line for known in OF_THIS_MACHINE)] == []


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_a_page_is_well_formed_for_groff(page: Path) -> None:
    if shutil.which("groff") is None:
        pytest.skip("needs groff: packaging/bootstrap installs it")
    done = subprocess.run(
        ["groff", "-mdoc", "-ww", "-Tutf8", page],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stderr == ""


def test_the_first_screen_has_the_two_commands() -> None:
    first = "\n".join(README.read_text().splitlines()[:25])
    assert "make demo" in first
    assert "make test" in first


def test_commands_of_the_readme_exist() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    text = README.read_text()
    told = set(re.findall(r"(?:^    |`)make\s+([a-z-]+)", text, re.MULTILINE))
    assert {"demo", "test", "demo-stop"} <= told <= set(targets)
    for program in re.findall(r"\bpackaging/[\w.]+", text):
        assert (ROOT / program).exists()


def test_options_of_the_readme_exist() -> None:
    _, _, rest = README.read_text().partition("## Options worth knowing")
    table, _, _ = rest.partition("\n## ")
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert len(rows) > 10
    for row in rows:
        for option in re.findall(r"`([^`]+)`", row):
            name, equals, _ = option.partition("=")
            assert find(name, bool(equals)) is not None, option


def test_links_of_the_papers_lead_somewhere() -> None:
    for paper in (README, CHANGELOG, ROOT / "SEMANTICS.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", paper.read_text()):
            assert (ROOT / target).exists(), target


def test_rooms_of_the_map_exist() -> None:
    _, _, rest = README.read_text().partition("## A map of the house")
    for name in re.findall(r"`((?:smbfs|tests)/[\w./]*)`", rest):
        assert (ROOT / name).exists(), name


def test_the_drawings_are_those_of_today() -> None:
    done = subprocess.run(
        [sys.executable, "packaging/draw_states.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout in README.read_text(), "run packaging/draw_states.py --write"


def test_the_changelog_has_an_entry_for_this_version() -> None:
    [newest, *_] = re.findall(r"^## (\S+)", CHANGELOG.read_text(), re.MULTILINE)
    assert newest == smbfs.__version__
