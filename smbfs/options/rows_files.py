"""The rows for owners and modes, names and file types, caching, locks and syncing.

One line says one option.  Knows the filesystem's and the caches' groups.  What these mean
together is decided in `smbfs.options.resolve`.
"""

from __future__ import annotations

from smbfs.options import refusals, values
from smbfs.options.row import Action, Row, fails, flag, hints, option, refused, warns

SUPPORT, BETTER, ACCEPT = Action.SUPPORT, Action.BETTER, Action.ACCEPT
IGNORE = Action.IGNORE
A_MODE = "`{name}=` is a mode, not a mask; its name today is `{now}=`."
NO_ACL = "mode and owner are those of `file_mode=`, `dir_mode=`, `uid=` and `gid=`; remove it"
NO_POSIX = "the mount uses plain SMB; remove it"
LINKS = "use `symlink=default`, `native`, `mfsymlinks`, `nfs` or `wsl`"
AS_ALLOWED = "fifos, sockets and devices are made as the server allows; remove it"
SOCKETS = "sockets are made like other special files"
CASE = "names are compared as the server compares them"
NUMBERS = "inode numbers are the server's where they are unique, else our own"
LONGEST_S = 10**9  # cifs.ko stops a little later

OWNERS = (
    option("uid", SUPPORT, values.user, "presentation.uid"),
    option("gid", SUPPORT, values.group, "presentation.gid"),
    flag("forceuid", SUPPORT, "presentation.force_uid"),
    flag("noforceuid", SUPPORT, "presentation.force_uid", False),
    flag("forcegid", SUPPORT, "presentation.force_gid"),
    flag("noforcegid", SUPPORT, "presentation.force_gid", False),
    option("file_mode", SUPPORT, values.octal, "presentation.file_mode"),
    option("dir_mode dirmode dirm", SUPPORT, values.octal, "presentation.dir_mode"),
    option(
        "fmask",
        SUPPORT,
        values.octal,
        "presentation.file_mode",
        warning=A_MODE.format(name="fmask", now="file_mode"),
    ),
    option(
        "dmask",
        SUPPORT,
        values.octal,
        "presentation.dir_mode",
        warning=A_MODE.format(name="dmask", now="dir_mode"),
    ),
    flag("perm default_permissions", SUPPORT, "kernel.default_permissions"),
    flag("noperm", SUPPORT, "kernel.default_permissions", False),
    flag("dynperm", BETTER, "presentation.dynperm"),
    flag("nodynperm", BETTER, "presentation.dynperm", False),
    flag("setuids", SUPPORT, later=hints("new files belong to the user of the session")),
    flag("nosetuids", SUPPORT),
    flag("cifsacl", SUPPORT, later=fails(NO_ACL)),
    flag("idsfromsid setuidfromacl", SUPPORT, later=fails(NO_ACL)),
    flag("modefromsid modesid", SUPPORT, later=fails(NO_ACL)),
    flag("acl", ACCEPT, note="POSIX ACLs are answered with EOPNOTSUPP"),
    flag("noacl", ACCEPT, note="POSIX ACLs are answered with EOPNOTSUPP"),
    flag("user_xattr", SUPPORT, "presentation.user_xattrs"),
    flag("nouser_xattr", SUPPORT, "presentation.user_xattrs", False),
    flag("suid", SUPPORT, "kernel.suid"),
    flag("nosuid", SUPPORT, "kernel.suid", False),
    flag("dev", SUPPORT, "kernel.dev"),
    flag("nodev", SUPPORT, "kernel.dev", False),
    flag("exec", SUPPORT, "kernel.exec"),
    flag("noexec", SUPPORT, "kernel.exec", False),
)
NAMES = (
    option("iocharset", SUPPORT, values.charset),
    flag("unicode", IGNORE),
    flag("nounicode", IGNORE),
    flag("nocase ignorecase", SUPPORT, later=warns(CASE)),
    # the two mappings exclude each other, but each is switched off alone, as in cifs.ko
    flag("mapposix", SUPPORT, sets={"raw.sfm": True, "raw.sfu": False}),
    flag("nomapposix", SUPPORT, "raw.sfm", False),
    flag("mapchars", SUPPORT, sets={"raw.sfu": True, "raw.sfm": False}),
    flag("nomapchars", SUPPORT, "raw.sfu", False),
    flag("posix unix linux", SUPPORT, later=fails(NO_POSIX)),
    flag("noposix nounix nolinux", SUPPORT),
    flag("posixpaths", ACCEPT, note="path names follow `posix`"),
    flag("noposixpaths", ACCEPT, note="path names follow `posix`"),
    flag("sfu", SUPPORT, later=fails(AS_ALLOWED)),
    flag("nosfu", SUPPORT),
    flag("mfsymlinks", SUPPORT, "raw.mfsymlinks"),
    option(
        "symlink",
        BETTER,
        values.choice("default", "none", "native", "unix", "mfsymlinks", "sfu", "nfs", "wsl"),
        "raw.symlink",
        later=fails(LINKS, "unix", "sfu"),
    ),
    option(
        "symlinkroot",
        SUPPORT,
        values.absolute,
        "presentation.symlink_root",
    ),
    option(
        "reparse",
        SUPPORT,
        values.choice("default", "none", "nfs", "wsl"),
        "presentation.reparse",
    ),
    flag("nativesocket", ACCEPT, note=SOCKETS),
    flag("nonativesocket", ACCEPT, note=SOCKETS),
    flag("serverino", BETTER),
    flag("noserverino", BETTER, note=NUMBERS),
    flag("nosparse", SUPPORT, "presentation.no_sparse"),
    flag("nodelete", SUPPORT, "presentation.no_delete"),
)
CACHING = (
    option(
        "cache",
        SUPPORT,
        values.choice("none", "strict", "loose", "ro", "singleclient"),
        "caching.mode",
    ),
    flag(
        "direct directio forcedirectio", ACCEPT, "caching.mode", "none", note="means `cache=none`"
    ),
    flag("strictcache", ACCEPT, "caching.mode", "strict", note="means `cache=strict`"),
    option("actimeo", SUPPORT, values.seconds(0, LONGEST_S), "raw.actimeo"),
    option("acregmax", BETTER, values.seconds(0, LONGEST_S), "raw.acregmax"),
    option("acdirmax", BETTER, values.seconds(0, LONGEST_S), "caching.stated_directory_s"),
    flag("noac", SUPPORT, "raw.actimeo", 0.0),
    option("closetimeo", SUPPORT, values.seconds(0, LONGEST_S), "caching.close_s"),
    flag("handlecache", BETTER),
    flag("nohandlecache", BETTER),
    option("max_cached_dirs", BETTER, values.number(1, 10**9), "caching.directories"),
    flag("lease", SUPPORT, "caching.leases"),
    flag("nolease", SUPPORT, "caching.leases", False),
    flag("locallease", IGNORE),
    flag("fsc", BETTER, note="file data is cached in memory only"),
    flag("brl", SUPPORT, "kernel.locks", "auto"),
    flag("nobrl nolock", SUPPORT, "kernel.locks", "local"),
    flag("forcemandatorylock forcemand", SUPPORT, "kernel.locks", "server"),
    flag("rwpidforward", IGNORE),
    flag("strictsync", SUPPORT, "caching.strict_sync"),
    flag("nostrictsync", SUPPORT, "caching.strict_sync", False),
    option(
        "snapshot",
        BETTER,
        values.moment,
        later=fails("the mount would show the share as it is now; remove it"),
    ),
)
REST = (
    flag("ro", SUPPORT, "kernel.read_only"),
    flag("rw", SUPPORT, "kernel.read_only", False),
    flag("remount", SUPPORT, later=fails("unmount the share and mount it again")),
    flag("intr", BETTER),
    flag("nointr", BETTER),
    flag("sloppy", SUPPORT, "raw.sloppy"),
    refused("rootfs", refusals.ROOT),
    refused("sep", refusals.SEPARATOR),
)
ROWS: tuple[Row, ...] = OWNERS + NAMES + CACHING + REST
