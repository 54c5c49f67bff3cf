"""What options mean together: conflicts, implications, dependent defaults."""

from __future__ import annotations

import logging
import math

import pytest

from smbfs.options import LogTarget, MountOptions, OptionError, parse
from smbfs.wire.units import NameMap


def options(
    text: str, *, service: str = "//nas/music", root: bool = False, others: bool = True
) -> MountOptions:
    who = 0 if root else 1000
    return parse(service, [text], is_root=root, uid=who, gid=who, others_allowed=others)


def refusal(
    text: str, *, service: str = "//nas/music", root: bool = False, others: bool = True
) -> str:
    with pytest.raises(OptionError) as error:
        options(text, service=service, root=root, others=others)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("persistenthandles,nopersistenthandles", "`nopersistenthandles` exclude each other"),
        ("resilienthandles,persistenthandles", "`resilienthandles` exclude each other"),
        ("multichannel,max_channels=1", "`multichannel` needs `max_channels` above 1"),
        ("nomultichannel,max_channels=2", "`nomultichannel` and `max_channels=2` exclude"),
        ("compress,vers=3.0", "`compress` needs SMB 3.1.1"),
        ("seal,vers=2.1", "`seal` needs SMB 3.0"),
        ("sec=krb5p,vers=2.1", "`seal` needs SMB 3.0"),
        ("sec=ntlmsspi,nosign", "A `sec=` that ends in `i` requires signing"),
        ("allow_other,allow_root", "`allow_other` and `allow_root` exclude"),
        ("signloosely", "This would accept forged answers"),
        ("ignore_signature", "This would accept forged answers"),
        ("unc=//nas/films", "`//nas/films` and `//nas/music` are different shares"),
        ("prefixpath=a/../b", "cannot contain `..`"),
    ],
)
def test_conflicts_that_fail(text: str, sentence: str) -> None:
    assert sentence in refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "multichannel",
        "max_channels=4",
        "nomultichannel,max_channels=1",
        "nomultichannel,multichannel,max_channels=2",
        "compress,vers=3",
        "seal,vers=3.0",
        "unc=\\\\NAS\\music",
    ],
)
def test_no_conflict(text: str) -> None:
    options(text)


def test_sealing_offers_only_dialects_that_can() -> None:
    assert options("seal").server.dialects == (0x0300, 0x0302, 0x0311)
    assert options("").server.dialects == (0x0210, 0x0300, 0x0302, 0x0311)


@pytest.mark.parametrize(
    ("text", "file_s", "directory_s", "stated"),
    [
        ("", 1.0, 1.0, None),
        ("actimeo=30", 30.0, 30.0, None),
        ("noac", 0.0, 0.0, None),
        ("acregmax=5,actimeo=30,acdirmax=7", 5.0, 7.0, 7.0),
        ("actimeo=30,acregmax=5", 5.0, 30.0, None),
    ],
)
def test_the_particular_time_beats_the_general(
    text: str, file_s: float, directory_s: float, stated: float | None
) -> None:
    caching = options(text).caching
    assert (caching.file_attributes_s, caching.directory_attributes_s) == (file_s, directory_s)
    assert caching.stated_directory_s == stated


@pytest.mark.parametrize(
    ("text", "uid", "forced"),
    [
        ("", 1000, False),
        ("uid=5", 5, True),
        ("uid=5,noforceuid", 5, False),
        ("noforceuid,forceuid,uid=5", 5, True),
        ("forceuid", 1000, False),
    ],
)
def test_an_owner_is_forced_only_if_named(text: str, uid: int, forced: bool) -> None:
    shown = options(text).presentation
    assert (shown.uid, shown.force_uid) == (uid, forced)
    swapped = options(text.replace("uid", "gid")).presentation
    assert (swapped.gid, swapped.force_gid) == (uid, forced)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", NameMap.SFM),
        ("mapchars", NameMap.SFU),
        ("nomapchars", NameMap.SFM),
        ("nomapposix", NameMap.NONE),
        ("mapchars,nomapposix", NameMap.SFU),
        ("mapchars,nomapchars", NameMap.NONE),
        ("mapchars,mapposix", NameMap.SFM),
    ],
)
def test_name_maps_exclude_each_other(text: str, names: NameMap) -> None:
    assert options(text).presentation.names is names


@pytest.mark.parametrize(
    ("text", "symlink"),
    [
        ("", "default"),
        ("mfsymlinks", "mfsymlinks"),
        ("mfsymlinks,symlink=native", "native"),
        ("symlink=none,mfsymlinks", "none"),
        ("symlink=default,mfsymlinks", "mfsymlinks"),
    ],
)
def test_how_links_are_created(text: str, symlink: str) -> None:
    assert options(text).presentation.symlink == symlink


@pytest.mark.parametrize(
    ("text", "port", "session"),
    [
        ("", 445, False),
        ("port=139", 139, True),
        ("port=139,nonbsessinit", 139, False),
        ("nbsessinit", 445, False),
        ("port=1139,nbsessinit", 1139, True),
    ],
)
def test_a_netbios_session_by_port(text: str, port: int, session: bool) -> None:
    server = options(f"{text},servern=nas" if text else "servern=nas").server
    assert (server.port, server.netbios_session) == (port, session)
    assert server.server_netbios_name == "NAS"


def test_an_address_may_say_user_domain_and_port() -> None:
    service = "smb://work;me@nas:4450/music/new"
    asked = options("", service=service)
    assert (asked.login.username, asked.login.domain, asked.server.port) == ("me", "work", 4450)
    assert asked.kernel.fsname == "//nas/music/new"
    asked = options("username=you,domain=,port=446", service=service)
    assert (asked.login.username, asked.login.domain, asked.server.port) == ("you", "", 446)


def test_an_anonymous_login_has_no_name() -> None:
    login = options("sec=none,username=me,domain=work").login
    assert (login.kind, login.username, login.domain) == ("none", "", None)


def test_the_login_as_asked() -> None:
    login = options("user=WORK\\me,domainauto,guest,dom=x,cred=/c").login
    assert login.username == "WORK\\me"
    assert (login.domain, login.domain_auto, login.guest) == ("x", True, True)
    assert login.credentials == "/c"


@pytest.mark.parametrize(
    ("text", "service", "directory"),
    [
        ("prefixpath=/a/b", "//nas/music", ("a", "b")),
        ("prefixpath=a\\b", "//nas/music/a/b", ("a", "b")),
        ("prefixpath=", "//nas/music", ()),
        ("unc=//nas/music/a", "//nas/music/a", ("a",)),
    ],
)
def test_a_directory_by_its_older_name(text: str, service: str, directory: tuple[str, ...]) -> None:
    assert options(text, service=service).service.directory == directory


def test_two_directories_are_a_conflict() -> None:
    assert "are different directories" in refusal("prefixpath=b", service="//nas/music/a")


@pytest.mark.parametrize(
    ("text", "suid", "dev"),
    [
        ("", False, False),
        ("suid,dev", True, True),
        ("suid,nosuid", False, False),
        ("user=me,exec,suid,dev", False, False),
        ("username=me,exec,suid,dev", True, True),
    ],
)
def test_set_uid_files_and_devices_are_for_root(text: str, suid: bool, dev: bool) -> None:
    kernel = options(text, root=True).kernel
    assert (kernel.suid, kernel.dev, kernel.exec) == (suid, dev, True)


def test_what_mount_adds_to_a_user_is_mentioned() -> None:
    for text in ("user=me,suid", "user=me,dev"):
        (note,) = options(text).notes
        assert note.level == logging.DEBUG
        assert "`username=`" in note.text


@pytest.mark.parametrize(
    ("text", "name"), [("suid", "suid"), ("dev", "dev"), ("context=a:b", "context=a:b")]
)
def test_only_root_may(text: str, name: str) -> None:
    assert refusal(text) == f"Only root may mount with `{name}`."


def test_contexts_reach_the_kernel_whole() -> None:
    text = 'fscontext=u:o:t,context="u:o:t:s0:c1,c2"'
    assert options(text, root=True).kernel.contexts == (
        'context="u:o:t:s0:c1,c2"',
        "fscontext=u:o:t",
    )


@pytest.mark.parametrize(
    ("text", "root", "other", "only_root"),
    [
        ("", True, True, False),
        ("", False, False, False),
        ("allow_other", False, True, False),
        ("allow_root", True, False, True),
        ("allow_root", False, False, True),
    ],
)
def test_who_may_look(text: str, root: bool, other: bool, only_root: bool) -> None:
    kernel = options(text, root=root).kernel
    assert (kernel.allow_other, kernel.allow_root) == (other, only_root)


@pytest.mark.parametrize("text", ["allow_other", "allow_root"])
def test_others_need_the_permission_of_fuse_conf(text: str) -> None:
    assert "`user_allow_other` in /etc/fuse.conf" in refusal(text, others=False)
    options(text, root=True, others=False)


def test_insecure_lets_loose_signing_pass_but_checks_anyway() -> None:
    asked = options("signloosely,insecure")
    (note,) = asked.notes
    assert note.level == logging.WARNING
    assert "still checked" in note.text
    assert asked.daemon.insecure
    assert asked.server.sign


def test_the_rest_arrives_where_it_belongs() -> None:
    asked = options(
        "timeout=0,log=debug:/var/log/smbfs,foreground,sync,dirsync,nostrictsync,cache=none,"
        "fsname=x,subtype=y,nouser_xattr,ids=strict,rasize=2M,srcaddr=::1,ip=[::1]"
    )
    assert asked.server.timeout_s == math.inf
    assert (asked.server.address, asked.server.source_address) == ("::1", "::1")
    assert asked.daemon.log == LogTarget("debug", "/var/log/smbfs")
    assert asked.daemon.foreground
    assert asked.caching.write_through
    assert not asked.caching.strict_sync
    assert (asked.caching.mode, asked.caching.readahead) == ("none", 2 << 20)
    assert (asked.kernel.fsname, asked.kernel.subtype) == ("x", "y")
    assert not asked.presentation.user_xattrs
    assert asked.presentation.ids == "strict"
