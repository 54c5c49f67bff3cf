"""How people name a share."""

from __future__ import annotations

import pytest

from smbfs.options import OptionError, Service, parse_service


@pytest.mark.parametrize(
    ("text", "service"),
    [
        ("//nas/music", Service("nas", "music")),
        ("//nas/music/", Service("nas", "music")),
        ("//nas/music/a//b c/", Service("nas", "music", ("a", "b c"))),
        ("\\\\nas\\music\\a", Service("nas", "music", ("a",))),
        ("//nas\\music/a", Service("nas", "music", ("a",))),
        ("//nas", Service("nas")),
        ("//nas/", Service("nas")),
        ("//nas.example.org/C$", Service("nas.example.org", "C$")),
        ("//192.0.2.1/s", Service("192.0.2.1", "s")),
        ("//[2001:DB8::1]/s", Service("2001:db8::1", "s")),
        ("//2001:db8::1/s/d", Service("2001:db8::1", "s", ("d",))),
        ("//fe80--1s4.ipv6-literal.net/s", Service("fe80::1%4", "s")),
        ("\\\\2001-db8--1.IPv6-Literal.NET\\s", Service("2001:db8::1", "s")),
        ("smb://nas/music", Service("nas", "music")),
        ("SMB://nas/music", Service("nas", "music")),
        ("cifs://nas", Service("nas")),
        ("smb://nas:4450/music/a%20b", Service("nas", "music", ("a b",), port=4450)),
        ("smb://me@nas/music", Service("nas", "music", user="me")),
        ("smb://work;me@nas/m", Service("nas", "m", user="me", domain="work")),
        ("smb://[fe80::1%25eth0]:44/s", Service("fe80::1%eth0", "s", port=44)),
        ("smb://[::1]/s", Service("::1", "s")),
    ],
)
def test_what_is_read(text: str, service: Service) -> None:
    assert parse_service(text) == service


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "names no share"),
        ("music", "names no share"),
        ("nas:/music", "names no share"),
        ("/nas/music", "names no share"),
        ("//", "names no server"),
        ("///music", "names no server"),
        ("smb:///music", "names no server"),
        ("//nas//a", "no share between the server and `a`"),
        ("//n as/music", "`n as` is no server name"),
        ("//me@nas/music", "is no server name"),
        ("//nas:445/music", "`nas:445` is no IPv6 address; a port goes into"),
        ("//[nas]/music", "is no IPv6 address"),
        ("//nas/mu*ic", "`mu*ic` is no share name"),
        ("//nas/..", "`..` is no share name"),
        ("//nas/" + "x" * 81, "is no share name"),
        ("//nas/music/../films", "cannot contain `..`"),
        ("//nas/music/./a", "cannot contain `.`"),
        ("smb://nas/music/a%2Fb", "cannot contain `a/b`"),
        ("smb://nas/mu%2Fsic", "is no share name"),
        ("smb://nas/music/%2e%2e", "cannot contain `..`"),
        ("smb://nas/music/a%00", "cannot contain"),
        ("//nas/music\n", "control character"),
        ("smb://nas:0/music", "`:0` is no port"),
        ("smb://nas:65536/music", "`:65536` is no port"),
    ],
)
def test_what_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(OptionError) as refusal:
        parse_service(text)
    assert sentence in str(refusal.value)


@pytest.mark.parametrize("text", ["smb://me:hunter2@nas/music", "smb://w;me:hunter2@nas/music"])
def test_a_password_in_the_address_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(OptionError, match="can be seen by others") as refusal:
        parse_service(text)
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    "text", ["//nas/music", "//nas", "//nas/music/a/b", "//[2001:db8::1]/s", "//[fe80::1%4]/s/d"]
)
def test_a_service_prints_as_it_is_written(text: str) -> None:
    assert str(parse_service(text)) == text
