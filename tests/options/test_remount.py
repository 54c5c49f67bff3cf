"""What a remount may change, and what it names when it may not."""

from __future__ import annotations

import pytest

from smbfs.options import MountOptions, OptionError, check_remount, parse


def options(text: str, service: str = "//nas/music") -> MountOptions:
    return parse(service, [text], is_root=True, uid=0, gid=0)


@pytest.mark.parametrize(
    "text",
    [
        "ro",
        "actimeo=30,acdirmax=3",
        "timeout=5,echo_interval=3",
        "cache_mem=1G",
        "log=debug",
        "password=a,password2=b",
        "credentials=/c",
        "foreground,nofail",
    ],
)
def test_what_may_change(text: str) -> None:
    check_remount(options(""), options(text))
    check_remount(options(text), options(""))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("username=me", "username"),
        ("domain=work", "domain"),
        ("sec=none", "sec"),
        ("mapchars", "mapposix"),
        ("uid=5", "uid"),
        ("dmask=0700", "dir_mode"),
        ("seal", "vers"),
        ("nosign", "sign"),
        ("mfsymlinks", "symlink"),
        ("context=a", "context"),
        ("noperm", "perm"),
    ],
)
def test_what_may_not_change_is_named(text: str, name: str) -> None:
    with pytest.raises(OptionError, match=f"^A remount cannot change `{name}`; unmount first"):
        check_remount(options(""), options(text))


@pytest.mark.parametrize(
    ("service", "what"),
    [("//other/music", "server"), ("//nas/films", "share"), ("//nas/music/a", "share")],
)
def test_the_place_may_not_change(service: str, what: str) -> None:
    for old, new in (("//nas/music", service), (service, "//nas/music")):
        with pytest.raises(OptionError, match=f"cannot change the {what};"):
            check_remount(options("", old), options("", new))


def test_the_same_place_written_otherwise() -> None:
    check_remount(options(""), options("", "smb://nas/music"))
