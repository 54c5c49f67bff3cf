"""The rows of mount(8) and fstab, of FUSE, and those that are ours.

One line says one option.  Knows the kernel's and the daemon's groups.  What these mean together
is decided in `smbfs.options.resolve`.
"""

from __future__ import annotations

from smbfs.options import refusals, values
from smbfs.options.row import Action, Row, fails, flag, hints, option, refused
from smbfs.options.values import GIB, KIB

SUPPORT, IGNORE, NEW = Action.SUPPORT, Action.IGNORE, Action.NEW
TERABYTE = 1024 * GIB
NO_DISK = "file data is cached in memory only"
NO_TICKET = "there is no Kerberos login; remove it"

MOUNT = (
    flag("auto noauto defaults owner group user users nouser comment", IGNORE),
    option("comment", IGNORE, values.anything),
    flag("loud silent async atime noatime relatime norelatime nodiratime diratime", IGNORE),
    flag("strictatime nostrictatime lazytime nolazytime iversion noiversion", IGNORE),
    flag("mand nomand _netdev", IGNORE),
    flag("nofail", IGNORE, "daemon.no_fail"),
    option("uhelper helper", IGNORE, values.anything),
    option("context", SUPPORT, values.text, "raw.context"),
    option("fscontext", SUPPORT, values.text, "raw.fscontext"),
    option("defcontext", SUPPORT, values.text, "raw.defcontext"),
    option("rootcontext", SUPPORT, values.text, "raw.rootcontext"),
    refused("loop offset sizelimit bind rbind move", refusals.MOUNT_ITSELF),
    refused("private shared slave unbindable", refusals.MOUNT_ITSELF),
    refused("rprivate rshared rslave runbindable", refusals.MOUNT_ITSELF),
    flag("sync", SUPPORT, "caching.write_through"),
    flag("dirsync", SUPPORT),  # what changes a directory is never delayed
    flag("nosymfollow", SUPPORT, "kernel.no_symlinks"),
    refused("timeo", refusals.nfs("timeo=", "Did you mean `timeout=` (seconds)?")),
    refused("retry", refusals.nfs("retry=", "Did you mean `delay_connect`?")),
    refused("bg", refusals.nfs("bg", "Did you mean `delay_connect`?")),
    refused("fg", refusals.nfs("fg", "Remove it.")),
    refused("proto", refusals.nfs("proto=", "Remove it.")),
    refused("tcp", refusals.nfs("tcp", "Remove it.")),
    refused("udp", refusals.nfs("udp", "Remove it.")),
    refused("nfsvers", refusals.nfs("nfsvers=", "Did you mean `vers=`?")),
)
FUSE = (
    flag("allow_other", SUPPORT, "kernel.allow_other"),
    flag("allow_root", SUPPORT, "kernel.allow_root"),
    flag("auto_unmount", SUPPORT, "kernel.auto_unmount"),
    option("fsname", SUPPORT, values.text, "kernel.fsname"),
    option("subtype", SUPPORT, values.text, "kernel.subtype"),
    # pyfuse3 chooses these itself: libfuse aborts the mount if it is told
    option("max_read", SUPPORT, values.size(0, GIB), "kernel.max_read"),
    option("max_readahead", SUPPORT, values.size(0, GIB), "kernel.max_readahead"),
    option("max_write", SUPPORT, values.size(0, GIB), "kernel.max_write"),
    option("max_background", SUPPORT, values.number(1, 65535), "kernel.max_background"),
    option("congestion_threshold", SUPPORT, values.number(1, 65535), "kernel.congestion_threshold"),
    flag("kernel_cache auto_cache direct_io big_writes large_read async_read sync_read", IGNORE),
    flag("nonempty hard_remove use_ino readdir_ino noforget", IGNORE),
    option("remember", IGNORE, values.anything),
    flag("debug", Action.ACCEPT, "daemon.log", values.LogTarget("debug"), note="is `log=debug`"),
    refused("entry_timeout attr_timeout ac_attr_timeout negative_timeout", refusals.TIMES),
    refused("umask", refusals.MODES),
    refused("modules from_code to_code subdir rellinks norellinks", refusals.MODULES),
    option("setuid", IGNORE, values.anything),
    flag("drop_privileges", IGNORE),
    refused("fd rootmode user_id group_id blkdev blksize", refusals.INTERNAL),
)
OURS = (
    option("timeout", NEW, values.limit_s, "server.timeout_s"),
    option(
        "transport",
        NEW,
        values.choice("auto", "native", "pyfuse3"),
        "daemon.transport",
    ),
    option(
        "locks",
        NEW,
        values.choice("auto", "local", "server"),
        "kernel.locks",
    ),
    option("cache_dir", NEW, values.path, later=hints(NO_DISK)),
    option("cache_size", NEW, values.size(0, 1024 * TERABYTE), later=hints(NO_DISK)),
    option("cache_mem", NEW, values.size(64 * KIB, TERABYTE), "caching.memory"),
    flag("lookahead", NEW, "caching.look_ahead"),
    flag("nolookahead", NEW, "caching.look_ahead", False),
    option(
        "symlinks",
        NEW,
        values.choice("follow", "contain"),
        later=fails("links may lead out of the mount; remove it", "contain"),
    ),
    option(
        "journal",
        NEW,
        values.file_or_none,
        "daemon.journal",
    ),
    option("spool_dir", NEW, values.path, "daemon.spool"),
    option(
        "control",
        NEW,
        values.file_or_none,
        "daemon.control",
        later=fails("the socket is where `smbfs status` looks for it; remove it", but=("none",)),
    ),
    flag("insecure", NEW, "daemon.insecure"),
    option(
        "ids",
        NEW,
        values.choice("strict", "accept", "persist"),
        "presentation.ids",
        later=fails("use `ids=accept` or `ids=strict`", "persist"),
    ),
    option(
        "idmap",
        NEW,
        values.id_map,
        later=fails("owners are those of `uid=` and `gid=`; remove it", "sssd", "winbind", "file:"),
    ),
    option("keytab", NEW, values.path, later=fails(NO_TICKET)),
    option("ccache", NEW, values.text, later=fails(NO_TICKET)),
    flag("notify", NEW, "caching.watches"),
    flag("nonotify", NEW, "caching.watches", False),
    flag("inotify", NEW, later=fails("programs are not told of remote changes; remove it")),
    option(
        "snapdir",
        NEW,
        values.choice("hidden", "visible", "off"),
        later=fails("there are no snapshot directories; remove it", "visible"),
        note="there are no snapshot directories yet",
    ),
    option(
        "sharemode",
        NEW,
        values.choice("posix", "office"),
        later=fails("files are opened as with `sharemode=posix`; remove it", "office"),
    ),
    flag("delay_connect", NEW, later=fails("the server must answer at once; remove it")),
    option(
        "bwlimit",
        NEW,
        values.size(0, TERABYTE),
        later=fails("data travels as fast as it can; remove it", but=("0",)),
    ),
    option(
        "config", NEW, values.path, later=fails("put the settings into the option list instead")
    ),
    option("log", NEW, values.log_target, "daemon.log"),
    flag("foreground", NEW, "daemon.foreground"),
)
ROWS: tuple[Row, ...] = MOUNT + FUSE + OURS
