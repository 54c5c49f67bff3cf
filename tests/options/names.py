"""Every name in the document of mount options, by hand and apart from the table it judges.

One case a word: ``name`` or ``name=sample``.  ``!`` in front: the mechanism is not built, and
smbfs says so and fails.  The action stands in front of the colon.
"""

from __future__ import annotations

from typing import NamedTuple

from smbfs.options.row import Action

LISTS = """
accept: unc=//server/share target=//server/share path=//server/share source=//server/share
accept: prefixpath=dir
support: ip=192.0.2.1 addr=2001:db8::1 port=4450 srcaddr=192.0.2.9 vers=3.1.1
ignore: ver=1 version=1 netbiosname=HERE servern=THERE servernetbiosname=THERE
ignore: nbsessinit nonbsessinit
support: nosharesock max_channels=4
better: multichannel nomultichannel
refuse: rdma
ignore: tcpnodelay notcpnodelay noblocksend noautotune
support: max_credits=512 rsize=4M wsize=65536 bsize=1M rasize=4M compress nodfs
accept: esize=1M min_enc_offload=0 witness

support: username=me user=me password=pw pass=pw domain= dom=D workgroup=W domainauto guest
better: password2=pw pass2=pw credentials=/etc/cred cred=/etc/cred
support: sec=none seal cruid=0
better: sign nosign !multiuser
refuse: signloosely ignore_signature
ignore: upcall_target=app
support: !backupuid=0 !backupgid=0

better: echo_interval=10 hard nosoft
support: soft nohard retrans=1 persistenthandles nopersistenthandles
support: resilienthandles noresilienthandles handletimeout=960000

support: uid=1000 gid=1000 forceuid noforceuid forcegid noforcegid
support: file_mode=0644 dir_mode=755 dirmode=755 dirm=755 fmask=0644 dmask=0755 perm noperm
better: dynperm nodynperm
support: setuids nosetuids !cifsacl !idsfromsid !setuidfromacl !modefromsid !modesid
accept: acl noacl
support: user_xattr nouser_xattr suid nosuid dev nodev exec noexec

support: iocharset=utf8 nocase ignorecase mapposix nomapposix mapchars nomapchars
ignore: unicode nounicode
support: !posix !unix !linux noposix nounix nolinux !sfu nosfu mfsymlinks symlinkroot=/c
accept: posixpaths noposixpaths nativesocket nonativesocket
better: symlink=native serverino noserverino
support: reparse=default nosparse nodelete

support: cache=strict actimeo=30 noac closetimeo=5
accept: direct directio forcedirectio strictcache
better: acregmax=30 acdirmax=30 handlecache nohandlecache max_cached_dirs=16 fsc
support: lease nolease brl nobrl nolock forcemandatorylock forcemand strictsync nostrictsync
ignore: locallease rwpidforward
better: !snapshot=@GMT-2026.08.01-04.00.00 intr nointr
support: ro rw !remount sloppy
refuse: rootfs sep=;

ignore: auto noauto defaults comment=hello x-systemd.automount X-mount.mkdir=0755 owner group
ignore: nouser loud async atime norelatime nomand _netdev nofail noatime relatime nodiratime
ignore: strictatime lazytime iversion mand silent uhelper=udisks2 helper=smbfs diratime
ignore: nostrictatime nolazytime noiversion user users
support: context=c fscontext=c defcontext=c rootcontext=c sync dirsync nosymfollow
refuse: loop offset=1 sizelimit=1 bind rbind move private shared slave unbindable
refuse: rprivate rshared rslave runbindable
refuse: timeo=600 retry=2 bg fg proto=tcp tcp udp nfsvers=4

support: allow_other allow_root default_permissions auto_unmount fsname=nas subtype=smbfs
support: max_read=131072 max_background=12 congestion_threshold=9 max_readahead=131072
support: max_write=131072
ignore: kernel_cache auto_cache direct_io big_writes large_read async_read sync_read nonempty
ignore: hard_remove use_ino readdir_ino noforget remember=5 setuid=me drop_privileges
accept: debug
refuse: entry_timeout=1 attr_timeout=1 ac_attr_timeout=1 negative_timeout=1 umask=022
refuse: modules=subdir from_code=x to_code=x subdir=x rellinks norellinks
refuse: fd=3 rootmode=40000 user_id=0 group_id=0 blkdev blksize=512

new: timeout=15 transport=pyfuse3 locks=local cache_dir=/var/cache cache_size=1G cache_mem=64M
new: lookahead nolookahead symlinks=follow journal=/var/log/errors spool_dir=/var/spool
new: !control=/run/control insecure ids=accept idmap=auto !keytab=/etc/krb5.keytab
new: !ccache=KCM: notify nonotify !inotify snapdir=off sharemode=posix !delay_connect bwlimit=0
new: !config=/etc/smbfs.conf log=debug foreground
"""


class Case(NamedTuple):
    """One option, what it is called in the document, and whether a mount can have it."""

    text: str
    action: Action
    fails: bool

    @property
    def name(self) -> str:
        return self.text.partition("=")[0]


def cases() -> list[Case]:
    """The lists above, one by one."""
    found = []
    for line in LISTS.split("\n"):
        kind, _, words = line.partition(":")
        for word in words.split():
            action = Action[kind.upper()]
            fails = word.startswith("!") or action is Action.REFUSE
            found.append(Case(word.lstrip("!"), action, fails))
    return found


CASES = cases()
