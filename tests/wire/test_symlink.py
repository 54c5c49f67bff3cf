"""Windows targets as POSIX paths and back, and links that are ordinary files."""

from __future__ import annotations

import errno
import hashlib
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbfs.wire.reparse import MountPoint, Other, PosixLink, Special, SymbolicLink
from smbfs.wire.symlink import native_link, pack_mfsymlink, parse_mfsymlink, posix_target
from smbfs.wire.units import NameMap

SFM, NONE = NameMap.SFM, NameMap.NONE


def relative(target: str) -> SymbolicLink:
    return SymbolicLink(target, target, is_relative=True)


def absolute(target: str, shown: str = "") -> SymbolicLink:
    return SymbolicLink(target, shown, is_relative=False)


@pytest.mark.parametrize(
    ("link", "root", "expected"),
    [
        (relative("a"), None, b"a"),
        (relative("..\\a\\.\\b"), None, b"../a/./b"),
        (relative("a\\"), None, b"a/"),
        (relative("a/b"), None, b"a/b"),  # of a server that stores POSIX targets as they are
        (relative("\\etc"), None, b"/etc"),
        (relative("x\uf022\\end\uf029\\\uf029"), None, b"x:/end./\xef\x80\xa9"),
        (SymbolicLink("", "shown", is_relative=True), None, b"shown"),
        (absolute("/etc/passwd"), None, b"/etc/passwd"),
        (absolute("\\etc\\passwd"), b"/mnt", b"/etc/passwd"),
        (absolute("\\??\\C:\\Dir\\f"), None, b"/??/C:/Dir/f"),
        (absolute("\\??\\C:\\Dir\\f"), b"/mnt/", b"/mnt/c/Dir/f"),
        (absolute("\\??\\c:"), None, b"/??/c:"),
        (absolute("\\\\?\\D:\\x"), b"/", b"/d/x"),
        (absolute("C:\\x"), b"/mnt", b"/mnt/c/x"),
        (absolute("", "C:\\x"), b"/mnt", b"/mnt/c/x"),
        (absolute("\\??\\C:x"), b"/mnt", b"/??/C:x"),
        (absolute("\\??\\UNC\\srv\\share\\f"), b"/mnt", b"/??/UNC/srv/share/f"),
        (absolute("\\\\srv\\share\\f"), None, b"/??/UNC/srv/share/f"),
        (absolute("\\\\?\\UNC\\srv\\share"), None, b"/??/UNC/srv/share"),
        (MountPoint("\\??\\Volume{0-a}\\", ""), b"/mnt", b"/??/Volume{0-a}/"),
        (MountPoint("\\??\\E:\\d", "E:\\d"), b"/mnt", b"/mnt/e/d"),
        (PosixLink(0x80000014, b"any\\thing"), b"/mnt", b"any\\thing"),
        (Special(0x80000014, stat.S_IFIFO), None, None),
        (Other(1, b"C:\\x"), None, None),
    ],
    ids=str,
)
def test_posix_target(link: SymbolicLink, root: bytes | None, expected: bytes | None) -> None:
    assert posix_target(link, SFM, root) == expected


@pytest.mark.parametrize(
    ("target", "root", "link"),
    [
        (b"a", None, relative("a")),
        (b"../a/./b/", None, relative("..\\a\\.\\b\\")),
        (b"a//b", b"/mnt", relative("a\\\\b")),
        (b"C:/x", b"/mnt", relative("C\uf022\\x")),
        (b"a\\b/end.", None, relative("a\uf026b\\end\uf029")),
        (b"/mnt/c/Dir/f", b"/mnt/", absolute("\\??\\C:\\Dir\\f", "C:\\Dir\\f")),
        (b"/mnt/c", b"/mnt", absolute("\\??\\C:\\", "C:\\")),
        (b"/c/x", b"/", absolute("\\??\\C:\\x", "C:\\x")),
        (b"/??/C:/Dir", None, absolute("\\??\\C:\\Dir", "C:\\Dir")),
        (b"/??/d:", None, absolute("\\??\\d:", "d:")),
        (b"/??/UNC/srv/share", None, absolute("\\??\\UNC\\srv\\share", "\\\\srv\\share")),
        (b"/??/Volume{0-a}/", None, absolute("\\??\\Volume{0-a}\\", "Volume{0-a}\\")),
    ],
)
def test_native_link(target: bytes, root: bytes | None, link: SymbolicLink) -> None:
    assert native_link(target, SFM, root) == link


@pytest.mark.parametrize(
    ("target", "names", "root", "number"),
    [
        (b"", SFM, None, errno.EINVAL),
        (b"/etc", SFM, None, errno.EOPNOTSUPP),
        (b"/etc", SFM, b"/mnt", errno.EOPNOTSUPP),
        (b"/mnt/cd/x", SFM, b"/mnt", errno.EOPNOTSUPP),
        (b"/mnt/C/x", SFM, b"/mnt", errno.EOPNOTSUPP),  # would come back as /mnt/c/x
        (b"/??/pipe/x", SFM, None, errno.EOPNOTSUPP),
        (b"a/" + b"b" * 256, SFM, None, errno.ENAMETOOLONG),
        (b"a\\b", NONE, None, errno.EINVAL),
        ("a\uf022".encode(), SFM, None, errno.EILSEQ),
    ],
)
def test_no_native_link(target: bytes, names: NameMap, root: bytes | None, number: int) -> None:
    with pytest.raises(OSError, match=r".") as caught:
        native_link(target, names, root)
    assert caught.value.errno == number


TARGETS = st.lists(st.sampled_from([b"", b".", b"..", b"a.", b"b c", b"C:", b"\\", b"\xff", b"\n"]))


@given(TARGETS, st.sampled_from([b"", b"/??/C:/", b"/??/UNC/", b"/r/c/"]))
def test_targets_come_back(parts: list[bytes], start: bytes) -> None:
    target = start + b"/".join(parts)
    try:
        link = native_link(target, SFM, b"/r")
    except OSError:
        assert not target or target[:1] == b"/"
        return
    back = b"/r" if target.startswith(b"/r") else None
    assert posix_target(link, SFM, back) == target


@given(st.text(st.characters(exclude_characters="\0"), max_size=20), st.booleans())
def test_any_target_is_text(target: str, is_relative: bool) -> None:
    found = posix_target(SymbolicLink(target, "", is_relative), SFM, b"/r")
    assert found is not None
    assert b"\0" not in found


# Minshall+French links


def test_mfsymlink() -> None:
    data = b"XSym\n0009\n8c4677b0297d2b698195c5b038b6dfe5\n../target\n".ljust(1067)
    assert pack_mfsymlink(b"../target") == data
    assert parse_mfsymlink(data) == parse_mfsymlink(memoryview(data)) == b"../target"


@given(st.binary(min_size=1, max_size=1024).filter(lambda target: 0 not in target))
def test_mfsymlinks_come_back(target: bytes) -> None:
    data = pack_mfsymlink(target)
    assert len(data) == 1067
    assert parse_mfsymlink(data) == target


@pytest.mark.parametrize("size", [1023, 1024])
def test_the_longest_mfsymlink(size: int) -> None:
    data = pack_mfsymlink(b"t" * size)
    assert len(data) == 1067
    assert data[-1:] == (b"t" if size == 1024 else b"\n")  # no room for the newline at 1024
    assert parse_mfsymlink(data) == b"t" * size


@pytest.mark.parametrize(
    ("target", "number"),
    [(b"t" * 1025, errno.ENAMETOOLONG), (b"", errno.EINVAL), (b"a\0", errno.EINVAL)],
)
def test_no_mfsymlink_to_write(target: bytes, number: int) -> None:
    with pytest.raises(OSError, match="target") as caught:
        pack_mfsymlink(target)
    assert caught.value.errno == number


GOOD = pack_mfsymlink(b"abc")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(1067),
        GOOD[:-1],
        GOOD + b" ",
        GOOD.replace(b"0003", b"0004"),
        GOOD.replace(b"0003", b"+003"),
        GOOD.replace(b"0003", b"0000"),
        GOOD.replace(b"0003", b"1025"),
        GOOD.replace(b"abc", b"abd"),
        GOOD.replace(b"XSym", b"xsym"),
        b"XSym\n0001\n" + hashlib.md5(b"\0").hexdigest().encode() + b"\n" + b"\0" * 1024,
    ],
    ids=lambda data: repr(data[:20]),
)
def test_no_mfsymlink(data: bytes) -> None:
    assert parse_mfsymlink(data) is None
