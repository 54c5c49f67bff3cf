"""What the options mean together: conflicts, implications, and the defaults that depend.

Each group of `smbfs.options.model` is made by one function from the fields that were read; those
called ``raw.*`` end here.  Pure: who mounts comes in as `Caller`.

Easily broken: a rule that a later option may override belongs into the table, not here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from smbfs.options import refusals
from smbfs.options.model import (
    CacheOptions,
    DaemonOptions,
    KernelOptions,
    LoginOptions,
    MountOptions,
    Note,
    PresentationOptions,
    ServerOptions,
)
from smbfs.options.refusals import OptionError
from smbfs.options.share import Service, agrees, components, parse_service
from smbfs.options.values import DEFAULT_DIALECTS
from smbfs.wire.units import NameMap

Group = TypeVar("Group")

NETBIOS_PORT = 139
NTLM = ("ntlmssp", False, False)  # sec= as it is read: mechanism, signed, sealed
CONTEXTS = ("context", "fscontext", "defcontext", "rootcontext")
FORGED = Note(
    logging.WARNING,
    "`insecure` lets `signloosely` pass, but every signature is still checked.",
)
DEAF = Note(
    logging.WARNING,
    "With `hard` and `transport=pyfuse3` a program that waits for the server can be ended by "
    "nothing but the server's return or an unmount.",
)
LOCAL_LOCKS = Note(
    logging.INFO,
    "With `transport=pyfuse3` locks stay on this machine: other clients do not see them.",
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who mounts."""

    is_root: bool
    uid: int
    gid: int
    others_allowed: bool


@dataclass(frozen=True, slots=True)
class Given:
    """What was read: fields by name, and the options' names, those with a value ending in =."""

    service: Service
    fields: Mapping[str, Any]
    names: frozenset[str]
    caller: Caller

    def get(self, field: str, default: Any = None) -> Any:
        """A field, or what it is without being asked for."""
        return self.fields.get(field, default)

    def group(self, kind: type[Group], name: str, /, **derived: Any) -> Group:
        """The group of this name, with some fields derived."""
        prefix = f"{name}."
        own = {
            key.removeprefix(prefix): value
            for key, value in self.fields.items()
            if key.startswith(prefix)
        }
        return kind(**(own | derived))


def resolve(given: Given) -> tuple[MountOptions, list[Note]]:
    """Make the groups, and say what is worth saying; raises OptionError for a conflict."""
    refuse_conflicts(given)
    given = replace(given, service=service(given))
    options = MountOptions(
        service=given.service,
        server=server(given),
        login=login(given),
        presentation=presentation(given),
        caching=caching(given),
        kernel=kernel(given),
        daemon=given.group(DaemonOptions, "daemon"),
    )
    return options, notes(given)


def refuse_conflicts(given: Given) -> None:
    """The pairs that cannot both be meant."""
    for is_conflict, sentence in (*protocol_conflicts(given), *access_conflicts(given)):
        if is_conflict:
            raise OptionError(sentence)


def protocol_conflicts(given: Given) -> Iterator[tuple[bool, str]]:
    """What the protocol cannot do at once, and how to say so."""
    newest = max(given.get("server.dialects", DEFAULT_DIALECTS))
    channels = given.get("raw.max_channels", 0)
    several = given.get("raw.multichannel")
    for other in ("nopersistenthandles", "resilienthandles"):
        yield (
            {"persistenthandles", other} <= given.names,
            f"`persistenthandles` and `{other}` exclude each other.",
        )
    yield several is True and channels == 1, "`multichannel` needs `max_channels` above 1."
    yield (
        several is False and channels > 1,
        f"`nomultichannel` and `max_channels={channels}` exclude each other.",
    )
    yield (
        given.get("raw.compress", False) and newest < 0x0311,
        "`compress` needs SMB 3.1.1: remove it, or write `vers=3.1.1`.",
    )
    yield (
        must_seal(given) and newest < 0x0300,
        "`seal` needs SMB 3.0: remove it, or write `vers=3`.",
    )


def access_conflicts(given: Given) -> Iterator[tuple[bool, str]]:
    """What would weaken a protection that was asked for, and how to say so."""
    yield (
        given.get("raw.sec", NTLM)[1] and given.get("server.sign") is False,
        "A `sec=` that ends in `i` requires signing: remove `nosign`, or the `i`.",
    )
    yield (
        {"allow_other", "allow_root"} <= given.names,
        "`allow_other` and `allow_root` exclude each other.",
    )
    yield (
        given.get("kernel.locks") == "server" and given.get("daemon.transport") == "pyfuse3",
        "With `transport=pyfuse3` locks stay on this machine: remove it, or `locks=server`.",
    )
    yield (
        given.get("kernel.no_symlinks", False) and given.get("daemon.transport") == "pyfuse3",
        "`nosymfollow` needs `transport=native`.",
    )
    yield (
        given.get("raw.forgery", False) and not given.get("daemon.insecure", False),
        refusals.FORGERY,
    )


def must_seal(given: Given) -> bool:
    """Whether encryption was asked for, by its own name or by that of the login."""
    return bool(given.get("server.seal", False) or given.get("raw.sec", NTLM)[2])


def service(given: Given) -> Service:
    """The share, after the older ways to name it have had their say."""
    named = given.service
    if (text := given.get("raw.unc")) is not None and not agrees(named, parse_service(text)):
        raise OptionError(f"`{text}` and `{named}` are different shares; name it once.")
    if (prefix := given.get("raw.prefix")) is not None:
        below = components(tuple(filter(None, prefix.replace("\\", "/").split("/"))))
        if named.directory not in ((), below):
            raise OptionError(f"`prefixpath={prefix}` and `{named}` are different directories.")
        named = replace(named, directory=below)
    return named


def server(given: Given) -> ServerOptions:
    """How to reach the server."""
    port = given.get("server.port") or given.service.port or ServerOptions().port
    # an explicit `nbsessinit` also counts on an unusual port, as a server under test has it
    session = given.get("server.netbios_session", port == NETBIOS_PORT)
    seal = must_seal(given)
    dialects = given.get("server.dialects", DEFAULT_DIALECTS)
    if seal:  # what cannot be sealed is not even offered
        dialects = tuple(dialect for dialect in dialects if dialect >= 0x0300)
    return given.group(
        ServerOptions,
        "server",
        port=port,
        netbios_session=session and port != ServerOptions().port,
        dialects=dialects,
        seal=seal,
        server_netbios_name=given.get("server.server_netbios_name", "*SMBSERVER").upper(),
    )


def login(given: Given) -> LoginOptions:
    """Who wants in; an anonymous login has no name."""
    kind, _, _ = given.get("raw.sec", NTLM)
    address = given.service
    username = given.get("login.username", address.user)
    domain = given.get("login.domain", address.domain or None)
    if kind == "none":
        username, domain = "", None
    return given.group(LoginOptions, "login", kind=kind, username=username, domain=domain)


def presentation(given: Given) -> PresentationOptions:
    """How the share looks."""
    forced = {
        f"force_{kind}": f"{kind}=" in given.names and given.get(f"presentation.force_{kind}", True)
        for kind in ("uid", "gid")
    }
    wanted = given.get("raw.symlink", "default")
    if wanted == "default" and given.get("raw.mfsymlinks", False):
        wanted = "mfsymlinks"
    return given.group(
        PresentationOptions,
        "presentation",
        uid=given.get("presentation.uid", given.caller.uid),
        gid=given.get("presentation.gid", given.caller.gid),
        names=name_map(given),
        symlink=wanted,
        **forced,
    )


def name_map(given: Given) -> NameMap:
    """How reserved characters travel."""
    if given.get("raw.sfu", False):
        return NameMap.SFU
    return NameMap.SFM if given.get("raw.sfm", True) else NameMap.NONE


ALONE = ("ro", "singleclient")  # of `cache=`: nobody else changes the share
ALONE_S = 60.0


def caching(given: Given) -> CacheOptions:
    """How long to believe: the particular beats the general, in any order."""
    usual = ALONE_S if given.get("caching.mode", "") in ALONE else CacheOptions().file_attributes_s
    general = given.get("raw.actimeo", usual)
    return given.group(
        CacheOptions,
        "caching",
        file_attributes_s=given.get("raw.acregmax", general),
        directory_attributes_s=given.get("caching.stated_directory_s", general),
    )


def kernel(given: Given) -> KernelOptions:
    """What the kernel is told, as far as the caller may."""
    caller = given.caller
    granted = {
        # mount(8) adds `suid` and `dev` to `user=NAME` by itself: nobody asked for them
        name: given.get(f"kernel.{name}", False) and "user=" not in given.names
        for name in ("suid", "dev")
    }
    contexts = [(name, given.get(f"raw.{name}")) for name in CONTEXTS]
    told = tuple(f"{name}={quoted(value)}" for name, value in contexts if value is not None)
    strict = ("nosymfollow",) if given.get("kernel.no_symlinks", False) else ()
    for name in (*(name for name, value in granted.items() if value), *told, *strict):
        if not caller.is_root:
            raise OptionError(refusals.ROOT_ONLY.format(name=name))
    for name in ("allow_other", "allow_root"):
        if name in given.names and not caller.is_root and not caller.others_allowed:
            raise OptionError(
                f"`{name}` needs the line `user_allow_other` in /etc/fuse.conf; "
                "ask root for it, or remove the option."
            )
    return given.group(
        KernelOptions,
        "kernel",
        fsname=given.get("kernel.fsname", str(given.service)),
        allow_other=given.get(
            "kernel.allow_other", caller.is_root and "allow_root" not in given.names
        ),
        contexts=told,
        **granted,
    )


def quoted(value: str) -> str:
    """A value as mount(2) wants it: with a comma only in quotes."""
    return f'"{value}"' if "," in value else value


def notes(given: Given) -> list[Note]:
    """What is worth saying about the whole."""
    said = []
    if given.get("daemon.transport") == "pyfuse3" and given.get("kernel.locks") != "local":
        said.append(LOCAL_LOCKS)
    if given.get("daemon.transport") == "pyfuse3" and given.get("server.hard", False):
        said.append(DEAF)
    if given.get("raw.forgery", False):
        said.append(FORGED)
    if {"user=", "suid"} <= given.names or {"user=", "dev"} <= given.names:
        said.append(
            Note(
                logging.DEBUG,
                "`suid` and `dev` next to `user=` come from mount(8) and are ignored; "
                "write `username=` to ask for them.",
            )
        )
    return said
