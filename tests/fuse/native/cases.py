"""One request of every kind, what the filesystem is asked for it, and what the kernel gets."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from typing import Any

from smbfs.fuse.native import answers, questions
from smbfs.fuse.native.answers import Parts
from smbfs.fuse.native.replies import GetxattrOut
from smbfs.fuse.native.uapi import Opcode, SetattrValid
from smbfs.fuse.server import (
    Change,
    Entry,
    Space,
)
from tests.fuse.scripted import ENTRY, attributes

NODE = 3
NS = 1_000_000_000
SPACE = Space(4096, 4096, 10, 5, 4)


def flat(parts: Parts) -> bytes:
    return b"".join(parts)


ATTRIBUTES = flat(answers.attributes(attributes()).parts)
TOLD = flat(answers.entry(ENTRY))


@dataclass
class Case:
    """One request, what comes of it, and what is answered."""

    opcode: Opcode
    body: Any = b""
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    reply: bytes = b""
    error: int = 0
    is_nonsense: bool = False


def names(*some: bytes) -> bytes:
    return b"".join(name + b"\0" for name in some)


SETATTR = questions.SetattrIn(
    valid=SetattrValid.MODE
    | SetattrValid.UID
    | SetattrValid.GID
    | SetattrValid.SIZE
    | SetattrValid.ATIME
    | SetattrValid.MTIME
    | SetattrValid.FH,
    fh=9,
    size=100,
    atime=1,
    atimensec=2,
    mtime=-1,
    mtimensec=4,
    mode=0o100640,
    uid=5,
    gid=6,
)
CHANGE = Change(100, 0o640, 5, 6, NS + 2, -NS + 4)
CASES = [
    Case(Opcode.LOOKUP, names(b"n"), {"lookup_now": ENTRY}, [("lookup_now", NODE, b"n")], TOLD),
    Case(
        Opcode.LOOKUP,
        names(b"n"),
        {"lookup": ENTRY},
        [("lookup_now", NODE, b"n"), ("lookup", NODE, b"n")],
        TOLD,
    ),
    Case(
        Opcode.LOOKUP,
        names(b"n"),
        {"lookup_now": Entry(None, 1.0)},
        [("lookup_now", NODE, b"n")],
        flat(answers.entry(Entry(None, 1.0))),
    ),
    Case(Opcode.LOOKUP, b"no end", error=errno.EINVAL, is_nonsense=True),
    Case(
        Opcode.GETATTR,
        questions.GetattrIn(),
        {"getattr_now": attributes()},
        [("getattr_now", NODE, None)],
        ATTRIBUTES,
    ),
    Case(
        Opcode.GETATTR,
        questions.GetattrIn(),
        {"getattr": attributes()},
        [("getattr_now", NODE, None), ("getattr", NODE, None)],
        ATTRIBUTES,
    ),
    Case(
        Opcode.STATX,
        questions.StatxIn(),
        {"getattr_now": attributes()},
        [("getattr_now", NODE, None)],
        flat(answers.statx(attributes()).parts),
    ),
    Case(
        Opcode.STATX,
        questions.StatxIn(),
        {"getattr": attributes()},
        [("getattr_now", NODE, None), ("getattr", NODE, None)],
        flat(answers.statx(attributes()).parts),
    ),
    Case(
        Opcode.SETATTR,
        SETATTR,
        {"setattr": attributes()},
        [("setattr", NODE, CHANGE, 9)],
        ATTRIBUTES,
    ),
    Case(
        Opcode.SETATTR,
        questions.SetattrIn(valid=SetattrValid.KILL_SUIDGID),
        {"setattr": attributes()},
        [("drop_privileges", NODE), ("setattr", NODE, Change(), None)],
        ATTRIBUTES,
    ),
    Case(Opcode.READLINK, b"", {"readlink": b"to"}, [("readlink", NODE)], b"to"),
    Case(
        Opcode.READLINK,
        b"",
        {"readlink": b"x" * 4096},
        [("readlink", NODE)],
        error=errno.ENAMETOOLONG,
    ),
    Case(
        Opcode.SYMLINK,
        names(b"n", b"to"),
        {"symlink": ENTRY},
        [("symlink", NODE, b"n", b"to")],
        TOLD,
    ),
    Case(
        Opcode.MKNOD,
        questions.MknodIn(mode=0o10644, rdev=8, names=names(b"n")),
        {"mknod": ENTRY},
        [("mknod", NODE, b"n", 0o10644, 8)],
        TOLD,
    ),
    Case(
        Opcode.MKDIR,
        questions.MkdirIn(mode=0o755, names=names(b"n")),
        {"mkdir": ENTRY},
        [("mkdir", NODE, b"n", 0o755)],
        TOLD,
    ),
    Case(Opcode.UNLINK, names(b"n"), {}, [("unlink", NODE, b"n")]),
    Case(Opcode.RMDIR, names(b"n"), {}, [("rmdir", NODE, b"n")]),
    Case(
        Opcode.RENAME,
        questions.RenameIn(newdir=8, names=names(b"a", b"b")),
        {},
        [("rename", NODE, b"a", 8, b"b", 0)],
    ),
    Case(
        Opcode.RENAME2,
        questions.Rename2In(newdir=8, flags=1, names=names(b"a", b"b")),
        {},
        [("rename", NODE, b"a", 8, b"b", 1)],
    ),
    Case(
        Opcode.LINK,
        questions.LinkIn(oldnodeid=12, names=names(b"n")),
        {"link": ENTRY},
        [("link", 12, NODE, b"n")],
        TOLD,
    ),
    Case(Opcode.ACCESS, questions.AccessIn(mask=2), {}, [("access", NODE, 2)]),
    Case(
        Opcode.STATFS,
        b"",
        {"statfs": SPACE},
        [("statfs",)],
        flat(answers.statfs(SPACE).parts),
    ),
    # Extended attributes
    Case(
        Opcode.GETXATTR,
        questions.GetxattrIn(size=100, names=names(b"user.a")),
        {"getxattr_now": b"value"},
        [("getxattr_now", NODE, b"user.a")],
        b"value",
    ),
    Case(
        Opcode.GETXATTR,
        questions.GetxattrIn(size=0, names=names(b"user.a")),
        {"getxattr": b"value"},
        [("getxattr_now", NODE, b"user.a"), ("getxattr", NODE, b"user.a")],
        bytes(GetxattrOut(size=5)),
    ),
    Case(
        Opcode.GETXATTR,
        questions.GetxattrIn(size=4, names=names(b"user.a")),
        {"getxattr_now": b"value"},
        [("getxattr_now", NODE, b"user.a")],
        error=errno.ERANGE,
    ),
    Case(
        Opcode.LISTXATTR,
        questions.GetxattrIn(size=100),
        {"listxattr": [b"user.a", b"user.b"]},
        [("listxattr", NODE)],
        b"user.a\0user.b\0",
    ),
    Case(
        Opcode.SETXATTR,
        questions.SetxattrIn(size=3, flags=1, rest=names(b"user.a") + b"\0bc"),
        {},
        [("setxattr", NODE, b"user.a", b"\0bc", 1)],
    ),
    Case(
        Opcode.SETXATTR,
        questions.SetxattrIn(size=3, rest=names(b"user.a") + b"bc"),
        {},
        [],
        error=errno.EINVAL,
        is_nonsense=True,
    ),
    Case(Opcode.REMOVEXATTR, names(b"user.a"), {}, [("removexattr", NODE, b"user.a")]),
]
