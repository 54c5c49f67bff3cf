"""File names: what Windows forbids, what is long, what is no UTF-8, on a real mount."""

from __future__ import annotations

import errno
import os
import unicodedata

import pytest

from tests.mount.ground import Here, eventually, fails

RESERVED = ['a"b', "a*b", "a:b", "a<b", "a>b", "a?b", "a\\b", "a|b", ":", "C:", "a:b:$DATA", "?*"]
ENDINGS = ["dot.", "space ", "dots...", "mixed. .", " leading", ".hidden", "...", "a .b"]
CONTROLS = [f"a{chr(code)}b" for code in (*range(1, 0x20), 0x7F)]
ODD = [
    "ünïcödé",
    "日本語のファイル",
    "emoji 🎵 name",
    "e\u0301 decomposed",
    "~$office.docx",
    "a%20b&c;d'e`f$g",
    "-rf",
    "tab\tand\nnewline",
    "x" * 255,
    "ü" * 127,
    "日" * 85,
    "MFKEWH~X",
]


@pytest.mark.parametrize("name", RESERVED + ENDINGS + ODD)
def test_a_name_is_kept_as_it_is(here: Here, name: str) -> None:
    (here.path / name).write_bytes(os.fsencode(name))
    assert os.listdir(here.path) == [name]
    assert os.listdir(here.other) == [name]
    os.rename(here.path / name, here.path / "plain")
    os.rename(here.path / "plain", here.path / name)
    assert os.stat(here.path / name).st_size == len(os.fsencode(name))
    os.unlink(here.path / name)
    os.mkdir(here.path / name)
    (here.path / name / name).write_bytes(os.fsencode(name))
    assert os.listdir(here.path / name) == [name]
    assert (here.other / name / name).read_bytes() == os.fsencode(name)


@pytest.mark.parametrize("name", ["CON", "nul.txt", "Aux.c"])
def test_a_name_of_a_device_of_old_can_be_used(here: Here, name: str) -> None:
    # Samba lists it under a made-up short name, as it does for every client.
    (here.path / name).write_bytes(b"content")
    assert (here.path / name).read_bytes() == (here.behind / name).read_bytes() == b"content"
    [listed] = os.listdir(here.path)
    assert (here.path / listed).read_bytes() == b"content"
    os.unlink(here.path / listed)
    assert os.listdir(here.behind) == []


def test_all_control_characters(here: Here) -> None:
    for name in CONTROLS:
        (here.path / name).write_bytes(name.encode())
    assert sorted(os.listdir(here.other)) == sorted(CONTROLS)
    assert all((here.other / name).read_bytes() == name.encode() for name in CONTROLS)


def test_reserved_characters_are_stored_as_macs_and_the_kernel_do(here: Here) -> None:
    for name in ('"*:<>?\\|', "end.", "end ", "a\x01b"):
        (here.path / name).write_bytes(b"")
    stored = ["\uf020\uf021\uf022\uf023\uf024\uf025\uf026\uf027", "end\uf029", "end\uf028"]
    assert sorted(os.listdir(here.behind)) == sorted([*stored, "a\uf001b"])


def test_too_long_a_name(here: Here) -> None:
    with fails(errno.ENAMETOOLONG):
        (here.path / ("x" * 256)).write_bytes(b"")
    with fails(errno.ENAMETOOLONG):
        os.stat(here.path / ("x" * 256))
    with fails(errno.ENAMETOOLONG):
        os.mkdir(here.path / ("x" * 300))


def test_names_that_are_no_utf8(here: Here) -> None:
    # They travel as lone surrogates, which a Windows server keeps and Samba's disk does not.
    name = os.fsencode(here.path) + b"/bad\xff\xfename"
    try:
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
    except OSError as error:
        refused = error.errno
    else:
        assert os.listdir(os.fsencode(here.path)) == [b"bad\xff\xfename"]
        return
    assert refused in (errno.EILSEQ, errno.EINVAL)
    assert os.listdir(here.behind) == []
    (here.path / "the mount lives on").write_bytes(b"")


def test_names_on_the_servers_disk_that_are_no_utf8(here: Here) -> None:
    with open(os.fsencode(here.behind) + b"/bad\xffname", "wb"):
        pass
    (here.behind / "good").write_bytes(b"")
    found = os.listdir(os.fsencode(here.path))
    assert b"good" in found
    for name in found:
        assert b"/" not in name
        assert name not in (b".", b"..")


def test_composed_and_decomposed_are_kept_as_typed(here: Here) -> None:
    names = [unicodedata.normalize(form, "Åé한") for form in ("NFC", "NFD")]
    for name in names:
        (here.path / name).write_text(name)
    assert sorted(os.listdir(here.path)) == sorted(names)
    assert [(here.path / name).read_text() for name in names] == names


def test_case_is_kept(here: Here) -> None:
    (here.path / "ReadMe.TXT").write_bytes(b"x")
    (here.path / "Dir").mkdir()
    assert sorted(os.listdir(here.path)) == ["Dir", "ReadMe.TXT"]
    assert sorted(os.listdir(here.behind)) == ["Dir", "ReadMe.TXT"]


def test_another_spelling_is_the_same_file(here: Here) -> None:
    (here.path / "Name").write_bytes(b"x")
    assert os.path.samefile(here.path / "Name", here.path / "NAME")
    os.unlink(here.path / "nAME")
    assert os.listdir(here.path) == []
    assert eventually(lambda: not (here.path / "Name").exists())


def test_deep_paths(here: Here) -> None:
    step = "directory-" * 3
    deepest = here.path.joinpath(*[step] * 60)
    deepest.mkdir(parents=True)
    (deepest / "file").write_bytes(b"far down")
    assert (deepest / "file").read_bytes() == b"far down"
    assert here.behind.joinpath(*[step] * 60, "file").read_bytes() == b"far down"
    os.rename(here.path / step, here.path / "short")
    moved = here.path.joinpath("short", *[step] * 59, "file")
    assert moved.read_bytes() == b"far down"


def test_dots(here: Here) -> None:
    (here.path / "a" / "b").mkdir(parents=True)
    (here.path / "a" / "file").write_bytes(b"x")
    assert os.path.samefile(here.path / "a" / "b" / "..", here.path / "a")
    assert os.path.samefile(here.path / "a" / ".", here.path / "a")
    assert os.stat(f"{here.path}/a/b/../file").st_size == 1
    with fails(errno.EINVAL, errno.EBUSY):
        os.rmdir(f"{here.path}/a/b/.")
    with fails(errno.ENOTEMPTY):
        os.rmdir(f"{here.path}/a/b/..")
