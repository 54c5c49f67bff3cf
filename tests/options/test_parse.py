"""The rules of parsing, one test each."""

from __future__ import annotations

import logging
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbfs.auth import Secret
from smbfs.options import MountOptions, OptionError, parse
from smbfs.options.parse import Item, split
from smbfs.wire.units import NameMap

SERVICE = "//nas/music"


def options(*strings: str, sloppy: bool = False) -> MountOptions:
    return parse(SERVICE, strings, sloppy=sloppy, is_root=False, uid=1000, gid=1000)


def refusal(*strings: str, sloppy: bool = False) -> str:
    with pytest.raises(OptionError) as error:
        options(*strings, sloppy=sloppy)
    return str(error.value)


def warnings(asked: MountOptions) -> list[str]:
    return [note.text for note in asked.notes if note.level == logging.WARNING]


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("", []),
        (",,", []),
        ("ro", [("ro", None)]),
        ("ro,,rw,", [("ro", None), ("rw", None)]),
        ("a=b=c", [("a", "b=c")]),
        ("a=", [("a", "")]),
        ("=b", [("", "b")]),
        ('a="b,c",d', [("a", "b,c"), ("d", None)]),
        ('a="b,c"', [("a", "b,c")]),
        ('a="",b="x"', [("a", ""), ("b", "x")]),
        ('a=b"c,d"', [("a", 'b"c'), ('d"', None)]),
    ],
)
def test_rule_1_and_2_commas_first_equals_sign_and_quotes(
    text: str, items: list[tuple[str, str | None]]
) -> None:
    assert list(split(text)) == [Item(*item) for item in items]


@pytest.mark.parametrize("text", ['password="abc', 'password="a"b', 'password="a,b'])
def test_rule_2_quotes_that_do_not_enclose_are_refused(text: str) -> None:
    sentence = refusal(text)
    assert "`password=` begins with a double quote" in sentence
    assert "abc" not in sentence


def test_rule_1_names_are_case_sensitive() -> None:
    assert refusal("RO") == "Unknown option `RO`. Did you mean `ro`?"


def test_rule_3_the_last_one_wins() -> None:
    asked = options("ro,uid=5,nosign,rw", "uid=6,sign,soft,mapchars,mapposix")
    assert not asked.kernel.read_only
    assert asked.presentation.uid == 6
    assert asked.server.sign
    assert asked.presentation.names is NameMap.SFM
    assert options("rw,ro").kernel.read_only
    assert options("direct,strictcache").caching.mode == "strict"


def test_rule_3_a_second_password_is_ignored_with_a_warning() -> None:
    asked = options("password=one,pass=two,password2=three,pass2=four")
    assert asked.login.password == Secret("one")
    assert asked.login.password2 == Secret("three")
    assert "A second `pass=` is ignored." in warnings(asked)
    assert "A second `pass2=` is ignored." in warnings(asked)


def test_rule_3_no_forms_exist_only_where_listed() -> None:
    assert refusal("noguest").startswith("Unknown option `noguest`.")


@pytest.mark.parametrize("text", ["file_mode=755", "file_mode=0755", "fmask=755"])
def test_rule_4_modes_are_octal(text: str) -> None:
    assert options(text).presentation.file_mode == 0o755


def test_rule_4_sizes_have_units() -> None:
    asked = options("rsize=64K,wsize=1048576,cache_mem=1g")
    assert (asked.server.read_size, asked.server.write_size) == (1 << 16, 1 << 20)
    assert asked.caching.memory == 1 << 30


def test_rule_5_users_and_groups_by_name() -> None:
    asked = options("uid=root,gid=root")
    assert (asked.presentation.uid, asked.presentation.gid) == (0, 0)


def test_rule_6_unknown_options_fail_with_the_nearest_name() -> None:
    assert refusal("lookahed") == (
        "Unknown option `lookahed`. Did you mean `lookahead`? Add `sloppy` to skip unknown options."
    )
    assert refusal("qqqqqqqqqq") == (
        "Unknown option `qqqqqqqqqq`. Add `sloppy` to skip unknown options."
    )


@pytest.mark.parametrize("text", ["sloppy,lookahed=2", "lookahed=2,sloppy"])
def test_rule_6_sloppy_skips_wherever_it_stands(text: str) -> None:
    asked = options(text)
    assert warnings(asked) == ["Unknown option `lookahed` is skipped, as `sloppy` asks."]
    assert warnings(options("lookahed", sloppy=True)) == warnings(asked)


@pytest.mark.parametrize(
    "text", ["sael", "secx=ntlmssp", "sgin", "guset", "multiusr", "nosiud", "vres=3.0", "pasword=x"]
)
def test_rule_7_a_security_option_is_never_ignored(text: str) -> None:
    sentence = refusal(text, sloppy=True)
    assert sentence.startswith(f"Unknown option `{text.partition('=')[0]}`. Did you mean")
    assert "sloppy" not in sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("cache=all", "one of `none`, `strict`, `loose`, `ro` or `singleclient`"),
        ("port=0", "a whole number from 1 to 65535"),
        ("bsize=1K", "a size from 16K to 16M"),
        ("snapshot=yesterday", "@GMT-2026.08.01-04.00.00"),
        ("max_channels=17", "a whole number from 1 to 16"),
    ],
)
def test_rule_8_a_bad_value_names_the_allowed_ones(text: str, sentence: str) -> None:
    said = refusal(text, sloppy=True)
    assert said.startswith(f"`{text}` is not possible: the value must be {sentence}")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("uid", "`uid` needs a value: write `uid=...`."),
        ("ro=1", "`ro` takes no value."),
        ("signloosely=1", "`signloosely` takes no value."),
    ],
)
def test_rule_8_the_form_must_fit(text: str, sentence: str) -> None:
    assert refusal(text, sloppy=True) == sentence


def test_a_bad_value_is_told_before_what_is_not_built() -> None:
    assert "`uid=x y`" in refusal("multiuser,sec=krb5,uid=x y")
    assert refusal("multiuser,sec=krb5").startswith("`multiuser` is not built yet")


def test_rule_11_nothing_secret_is_shown() -> None:
    asked = options("password=hunter2,password2=hunter3")
    assert "hunter" not in repr(asked)
    assert asked.login.password is not None
    assert asked.login.password.reveal() == "hunter2"


@pytest.mark.parametrize("text", ["password=a,hunter2", "pass2=a,ro,password=b,hunter2,hunter3"])
def test_rule_11_the_rest_of_a_password_is_not_quoted(text: str) -> None:
    sentence = refusal(text, sloppy=True)
    assert "hunter" not in sentence
    assert "double quotes" in sentence


def test_a_password_is_taken_with_a_warning_said_once_each() -> None:
    (warning,) = warnings(options("password=x"))
    assert warning.startswith("Others can see the value of `password=`")


def test_a_mode_under_its_old_name_warns() -> None:
    assert warnings(options("dmask=0700")) == [
        "`dmask=` is a mode, not a mask; its name today is `dir_mode=`."
    ]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("brl", "auto"),
        ("nobrl", "local"),
        ("nolock", "local"),
        ("forcemand", "server"),
        ("locks=local,brl", "auto"),
        ("locks=server", "server"),
        ("", "auto"),
    ],
)
def test_where_locks_live(text: str, where: str) -> None:
    assert options(text).kernel.locks == where


def test_locks_that_stay_here_are_told() -> None:
    notes = options("transport=pyfuse3").notes
    assert [note.text for note in notes if "locks stay on this machine" in note.text]
    assert not options("transport=pyfuse3,locks=local").notes
    assert not options("transport=native").notes


def test_only_some_values_of_an_option_may_wait() -> None:
    assert options("symlink=native,bwlimit=0,control=none,journal=none").notes == ()
    assert options("symlink=nfs").presentation.symlink == "nfs"
    assert refusal("symlink=sfu").startswith("`symlink=sfu` is not built yet")
    assert refusal("bwlimit=1M").startswith("`bwlimit` is not built yet")
    assert refusal("idmap=file:/etc/ids").startswith("`idmap=file:/etc/ids` is not built yet")
    assert refusal("credentials=secret-service:nas").startswith("`credentials=secret-service:nas`")


def test_a_hint_that_is_not_built_is_noted() -> None:
    (note,) = options("compress").notes
    assert note.level == logging.DEBUG
    assert note.text == "`compress` is not built yet: data travels uncompressed."


def test_a_cifs_line_works_unchanged() -> None:
    line = (
        "credentials=/etc/nas.cred,uid=1000,gid=1001,file_mode=0640,dir_mode=0750,vers=3.0,"
        "iocharset=utf8,_netdev,nofail,x-systemd.automount,x-systemd.idle-timeout=60,"
        "sec=ntlmssp,cache=strict,nobrl,noperm,mfsymlinks,serverino,soft,rsize=130048,"
        "wsize=57344,actimeo=30,echo_interval=60,rw,relatime,mapposix,nounix"
    )
    asked = options(line)
    assert asked.login.credentials == "/etc/nas.cred"
    assert asked.server.dialects == (0x0300,)
    assert (asked.server.read_size, asked.server.write_size) == (130048, 57344)
    assert asked.server.echo_interval_s == 60.0
    shown = asked.presentation
    assert (shown.uid, shown.gid, shown.force_uid, shown.force_gid) == (1000, 1001, True, True)
    assert (shown.file_mode, shown.dir_mode, shown.symlink) == (0o640, 0o750, "mfsymlinks")
    assert not asked.kernel.default_permissions
    assert asked.caching.directory_attributes_s == 30.0
    assert asked.daemon.no_fail
    assert asked.notes == ()


def test_the_caller_is_this_process_unless_it_is_said() -> None:
    asked = parse(SERVICE, [])
    assert (asked.presentation.uid, asked.presentation.gid) == (os.getuid(), os.getgid())
    assert asked.kernel.allow_other is (os.getuid() == 0)


def test_a_server_alone_is_refused_unless_it_will_do() -> None:
    with pytest.raises(OptionError, match="names no share: write //nas/SHARE"):
        parse("//nas", [])
    assert parse("//nas", [], share_needed=False).service.share == ""


@given(
    st.one_of(st.text(), st.just("//nas/music"), st.from_regex(r"(smb:)?[/\\\\]{2}.*")),
    st.one_of(st.text(), st.from_regex(r"[a-z_]{2,9}=.{0,9}(,[a-z]{2,9}(=.{0,9})?){0,3}")),
    st.booleans(),
)
def test_any_words_are_options_or_one_sentence(service: str, text: str, sloppy: bool) -> None:
    sentence = "None."
    try:
        parse(service, [text], sloppy=sloppy)
    except OptionError as error:
        sentence = str(error)
    assert sentence.isprintable()
    assert sentence.endswith((".", "?"))
