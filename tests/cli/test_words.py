"""The words of the mount command, as people and mount(8) write them."""

from __future__ import annotations

import pytest

from smbfs.cli.words import Usage, Words, words_of

PLACES = ["//s/x", "/mnt"]


def spelt(value: object) -> str:
    return " ".join(value) if isinstance(value, list) else ""


def read(*arguments: str, is_helper: bool = False) -> Words:
    return words_of(arguments, is_helper=is_helper)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-o", "a,b", "-o", "c"], Words(options=["a,b", "c"])),
        (["-oa,b"], Words(options=["a,b"])),
        (["-r"], Words(options=["ro"])),
        (["--read-only", "-w"], Words(options=["ro", "rw"])),
        (["--ro", "--rw", "--read-write"], Words(options=["ro", "rw", "rw"])),
        (["-s"], Words(is_sloppy=True)),
        (["--sloppy", "-v"], Words(is_sloppy=True, is_verbose=True)),
        (["-svn"], Words(is_sloppy=True, is_verbose=True)),
        (["-vo", "a"], Words(is_verbose=True, options=["a"])),
        (["-f"], Words(is_foreground=True)),
        (["--foreground"], Words(is_foreground=True)),
        (["--fake"], Words(is_fake=True)),
        (["-t", "smbfs", "-N", "7"], Words()),
        (["-n", "--no-mtab"], Words()),
    ],
    ids=spelt,
)
def test_switches(arguments: list[str], expected: Words) -> None:
    expected.service, expected.mountpoint = PLACES
    assert read(*arguments, *PLACES) == expected
    assert read(*PLACES, *arguments) == expected
    assert read(PLACES[0], *arguments, PLACES[1]) == expected


def test_f_is_fake_to_the_helper_of_mount() -> None:
    assert read("-f", *PLACES, is_helper=True).is_fake
    assert not read("-f", *PLACES, is_helper=True).is_foreground


@pytest.mark.parametrize("switch", ["-h", "-?", "--help", "-V", "--version"])
def test_what_is_shown_needs_no_places(switch: str) -> None:
    assert read(switch).shows == ("version" if "V" in switch or "ver" in switch else "help")


def test_two_dashes_end_the_switches() -> None:
    words = read("--", "//s/x", "-odd")
    assert (words.service, words.mountpoint) == ("//s/x", "-odd")


def test_a_single_dash_is_a_place() -> None:
    assert read("//s/x", "-").mountpoint == "-"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "what to mount and where"),
        (["//s/x"], "what to mount and where"),
        (["a", "b", "c"], "what to mount and where"),
        (["-o"], "-o needs a value"),
        (["-x", *PLACES], "-x is not a switch"),
        (["-S", *PLACES], "PASSWD_FD"),
        (["--user=me", *PLACES], "put it after -o"),
    ],
    ids=spelt,
)
def test_words_that_make_no_sense(arguments: list[str], said: str) -> None:
    with pytest.raises(Usage, match=said):
        read(*arguments)
