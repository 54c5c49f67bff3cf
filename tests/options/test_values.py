"""Each kind of value: what it reads and what it refuses."""

from __future__ import annotations

import math
import os
from typing import Any

import pytest

from smbfs.options import OptionError, values

GOOD: list[tuple[values.Parser, str, Any]] = [
    (values.size(0, values.GIB), "0", 0),
    (values.size(0, values.GIB), "64k", 65536),
    (values.size(0, values.GIB), "1G", 1 << 30),
    (values.number(1, 16), "016", 16),
    (values.seconds(0, 9), "3", 3.0),
    (values.limit_s, "0", math.inf),
    (values.limit_s, "3600", 3600.0),
    (values.octal, "0755", 0o755),
    (values.octal, "644", 0o644),
    (values.octal, "07777", 0o7777),
    (values.user, "0", 0),
    (values.user, "root", 0),
    (values.group, "4294967294", 4294967294),
    (values.group, "root", 0),
    (values.choice("a", "b"), "b", "b"),
    (values.text, "x", "x"),
    (values.anything, "", ""),
    (values.netbios_name, "ABCDEFGHIJKLMNO", "ABCDEFGHIJKLMNO"),
    (values.address, "192.0.2.1", "192.0.2.1"),
    (values.address, "[2001:DB8::1]", "2001:db8::1"),
    (values.address, "fe80::1%eth0", "fe80::1%eth0"),
    (values.path, "/a/../b", "/b"),
    (values.path, "b", os.path.join(os.getcwd(), "b")),
    (values.absolute, "/a", "/a"),
    (values.credentials, "fd:3", "fd:3"),
    (values.credentials, "systemd:nas", "systemd:nas"),
    (values.credentials, "/etc/nas:1", "/etc/nas:1"),
    (values.dialects, "2.0", (0x0202,)),
    (values.dialects, "3.02", (0x0302,)),
    (values.dialects, "3.11", (0x0311,)),
    (values.dialects, "3", (0x0300, 0x0302, 0x0311)),
    (values.dialects, "default", (0x0210, 0x0300, 0x0302, 0x0311)),
    (values.helper_version, "1", "1"),
    (values.login, "ntlmv2i", ("ntlmssp", True, False)),
    (values.login, "nontlm", ("ntlmssp", False, False)),
    (values.login, "krb5p", ("krb5", False, True)),
    (values.charset, "UTF-8", "utf8"),
    (values.charset, "default", "utf8"),
    (values.id_map, "auto", "auto"),
    (values.id_map, "file:/etc/ids", "file:/etc/ids"),
    (values.moment, "116444736000000000", 116444736000000000),
    (values.moment, "@GMT-1970.01.01-00.00.01", 116444736010000000),
    (values.moment, "1970-01-01T00:00:01Z", 116444736010000000),
    (values.log_target, "warn", values.LogTarget()),
    (values.log_target, "debug:/x", values.LogTarget("debug", "/x")),
    (values.file_or_none, "none", ""),
    (values.file_or_none, "/x", "/x"),
]
BAD: list[tuple[values.Parser, str, str]] = [
    (values.size(1, values.GIB), "0", "from 1 to 1G"),
    (values.size(1, 1000), "1T", "from 1 to 1000"),
    (values.size(1, 1000), "", "size"),
    (values.size(0, values.GIB), "9" * 5000, "size"),
    (values.number(1, 16), "17", "from 1 to 16"),
    (values.number(1, 16), "-1", "whole number"),
    (values.number(1, 16), "\u0664", "whole number"),
    (values.number(1, 16), "9" * 5000, "whole number"),
    (values.number(0, 9, "ms"), "x", "from 0 to 9 ms"),
    (values.limit_s, "3601", "from 0 to 3600 seconds"),
    (values.octal, "888", "octal"),
    (values.octal, "10000", "octal"),
    (values.octal, "", "octal"),
    (values.user, "no such user", "a user that this machine knows"),
    (values.user, "4294967295", "a user name or number"),
    (values.group, "no such group", "a group that this machine knows"),
    (values.choice("a", "b"), "c", "one of `a` or `b`"),
    (values.text, "", "not empty"),
    (values.text, "a\0b", "not empty"),
    (values.netbios_name, "ABCDEFGHIJKLMNOP", "1 to 15"),
    (values.netbios_name, "", "1 to 15"),
    (values.address, "nas", "IPv4 or IPv6"),
    (values.path, "", "not empty"),
    (values.absolute, "a", "absolute"),
    (values.dialects, "4", "`3.1.1`"),
    (values.login, "magic", "`ntlmssp`"),
    (values.id_map, "file:", "`file:PATH`"),
    (values.moment, "yesterday", "ISO|2026"),
    (values.moment, "0", "100 ns"),
    (values.moment, "@GMT-1.1", "@GMT"),
    (values.moment, "0001-01-01T00:00Z", "@GMT"),
    (values.moment, "0001-01-01T00:00+23:59", "@GMT"),
    (values.log_target, "loud", "`debug`"),
    (values.log_target, "debug:", "not empty"),
]


@pytest.mark.parametrize(("read", "value", "expected"), GOOD)
def test_what_is_read(read: values.Parser, value: str, expected: Any) -> None:
    assert read(value) == expected


@pytest.mark.parametrize(("read", "value", "allowed"), BAD)
def test_what_is_refused_says_what_is_allowed(
    read: values.Parser, value: str, allowed: str
) -> None:
    with pytest.raises(ValueError, match=allowed) as refusal:
        read(value)
    assert not isinstance(refusal.value, OptionError)


def test_a_home_directory_is_known() -> None:
    assert values.path("~/cred") == os.path.expanduser("~/cred")


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (1, "1"), (1024, "1K"), (3 << 20, "3M"), (1 << 40, "1024G")]
)
def test_sizes_are_spelt_as_people_do(count: int, text: str) -> None:
    assert values.spelt(count) == text


def test_one_word_is_listed_alone() -> None:
    assert values.listed("a") == "`a`"
