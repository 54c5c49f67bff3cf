"""The rows for the share, the server, who wants in, and what happens without an answer.

One line says one option; the order is that of people's manual pages.  Knows the engine's and the
login's groups.  What these mean together is decided in `smbfs.options.resolve`.
"""

from __future__ import annotations

from smbfs.auth import Secret
from smbfs.options import refusals, values
from smbfs.options.row import Action, Row, fails, flag, hints, option, refused
from smbfs.options.values import GIB, KIB, MIB

SUPPORT, BETTER, ACCEPT = Action.SUPPORT, Action.BETTER, Action.ACCEPT
IGNORE = Action.IGNORE
AGREES = "older way to name the share; it agrees with the first word"
ONE = "one connection is used"
NO_DFS = "a link to another server is an error for its reader"
KERBEROS = "remove it, and log in with `sec=ntlmssp`"
AS_THE_OWNER = "everybody uses the session of the mounting user; remove it"

SHARE = (
    option("unc target path source", ACCEPT, values.text, "raw.unc", note=AGREES),
    option("prefixpath", ACCEPT, values.anything, "raw.prefix", note="same as //server/share/DIR"),
)
SERVER = (
    option("ip addr", SUPPORT, values.address, "server.address"),
    option("port", SUPPORT, values.number(1, 65535), "server.port"),
    option("srcaddr", SUPPORT, values.address, "server.source_address"),
    option("vers", SUPPORT, values.dialects, "server.dialects"),
    option("ver version", IGNORE, values.helper_version),
    option("netbiosname", IGNORE, values.netbios_name, "server.netbios_name"),
    option("servern servernetbiosname", IGNORE, values.netbios_name, "server.server_netbios_name"),
    flag("nbsessinit", IGNORE, "server.netbios_session"),
    flag("nonbsessinit", IGNORE, "server.netbios_session", False),
    flag("nosharesock", SUPPORT),  # a mount is a process, and shares no connection with another
    flag("multichannel", BETTER, "raw.multichannel", later=hints(ONE)),
    flag("nomultichannel", BETTER, "raw.multichannel", False),
    option("max_channels", SUPPORT, values.number(1, 16), "raw.max_channels", later=hints(ONE)),
    refused("rdma", refusals.RDMA),
    flag("tcpnodelay", IGNORE),
    flag("notcpnodelay", IGNORE),
    flag("noblocksend noautotune", IGNORE),
    option("max_credits", SUPPORT, values.number(20, 60000), "server.max_credits"),
    option("rsize", SUPPORT, values.size(KIB, GIB), "server.read_size"),
    option("wsize", SUPPORT, values.size(KIB, GIB), "server.write_size"),
    option("bsize", SUPPORT, values.size(16 * KIB, 16 * MIB), "presentation.block_size"),
    option("rasize", SUPPORT, values.size(MIB, 32 * MIB), "caching.readahead"),
    option(
        "esize min_enc_offload",
        ACCEPT,
        values.size(0, 2**32 - 1),
        note="decryption stays in the main thread, which costs less than to hand it over",
    ),
    flag("compress", SUPPORT, "raw.compress", later=hints("data travels uncompressed")),
    flag("witness", ACCEPT, note="moves of a cluster are noticed when the connection is lost"),
    flag("nodfs", SUPPORT),  # referrals are not followed yet
)
IDENTITY = (
    option("username user", SUPPORT, values.text, "login.username"),
    option("password pass", SUPPORT, Secret, "login.password"),
    option("password2 pass2", BETTER, Secret, "login.password2"),
    option(
        "credentials cred",
        BETTER,
        values.credentials,
        "login.credentials",
        later=fails("write the password into a file", "secret-service:"),
    ),
    option("domain dom workgroup", SUPPORT, values.anything, "login.domain"),
    flag("domainauto", SUPPORT, "login.domain_auto"),
    flag("guest", SUPPORT, "login.guest"),
    option(
        "sec", SUPPORT, values.login, "raw.sec", later=fails(KERBEROS, "krb5", "krb5i", "krb5p")
    ),
    flag("sign", BETTER, "server.sign"),
    flag("nosign", BETTER, "server.sign", False),
    flag("signloosely ignore_signature", Action.REFUSE, "raw.forgery"),
    flag("seal", SUPPORT, "server.seal"),
    option("cruid", SUPPORT, values.user, later=hints("there is no Kerberos login to own")),
    option("upcall_target", IGNORE, values.choice("app", "mount")),
    flag("multiuser", BETTER, later=fails(AS_THE_OWNER)),
    option("backupuid", SUPPORT, values.user, later=fails("nobody gets backup intent; remove it")),
    option("backupgid", SUPPORT, values.group, later=fails("nobody gets backup intent; remove it")),
)
ABSENCE = (
    option("echo_interval", BETTER, values.seconds(1, 600), "server.echo_interval_s"),
    flag("soft nohard", SUPPORT, "server.hard", False),
    flag("hard nosoft", BETTER, "server.hard"),
    option(
        "retrans",
        SUPPORT,
        values.number(0, 100),
        later=hints("a call is tried once, and a new connection is made for the next"),
    ),
    flag("persistenthandles", SUPPORT, "server.persistent"),
    flag("nopersistenthandles", SUPPORT, "server.persistent", False),
    flag("resilienthandles", SUPPORT, later=hints("durable handles do the same")),
    flag("noresilienthandles", SUPPORT),
    option(
        "handletimeout",
        SUPPORT,
        values.number(0, 960_000, "ms"),
        "server.handle_timeout_ms",
    ),
)
ROWS: tuple[Row, ...] = SHARE + SERVER + IDENTITY + ABSENCE
