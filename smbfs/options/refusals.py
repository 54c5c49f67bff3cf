"""What a refusal says: the sentences, and the exception that carries one.

Knows no option's meaning.  Each sentence says what is wrong and what to do, fits on one line, and
never quotes a value that may be secret.
"""

from __future__ import annotations

USAGE = 1  # mount(8): incorrect invocation

SMB1 = (
    "SMB1 is obsolete and unsafe, and smbfs does not speak it. Enable SMB2 or SMB3 on the server."
)
OLD_VERSION = (
    "`ver=` is the version of an old mount helper. For the SMB dialect write `vers={value}`."
)
WEAK_LOGIN = (
    "NTLMv1 and LANMAN logins can be broken by anyone who listens. "
    "Use `sec=ntlmssp`, which sends NTLMv2."
)
FORGERY = (
    "This would accept forged answers. "
    "Repair signing on the server, or add `insecure` if you accept the risk."
)
RDMA = "smbfs has no RDMA. Remove `rdma` to use TCP, or mount with `-t cifs`."
ROOT = "smbfs cannot hold the root file system."
CHARSET = "smbfs file names are UTF-8. Remove `iocharset={value}`."
SEPARATOR = (
    "Another separator is not supported. Put the value in double quotes, or use a credentials file."
)
MODES = "Use `file_mode=` and `dir_mode=`."
TIMES = "Use `actimeo=`."
INTERNAL = "`{name}` is internal to FUSE; remove it."
MODULES = "smbfs has no libfuse modules. Remove `{name}`."
MOUNT_ITSELF = "`{name}` is the business of mount(8) and means nothing to a share; remove it."
ROOT_ONLY = "Only root may mount with `{name}`."
NOT_BUILT = "`{option}` is not built yet: {instead}."
NEEDS_VALUE = "`{name}` needs a value: write `{name}=...`."
NO_VALUE = "`{name}` takes no value."
OPEN_QUOTE = (
    "The value of `{name}=` begins with a double quote but is not enclosed in a pair of them; "
    "a value that contains quotes can be put into a credentials file."
)
AFTER_PASSWORD = (
    "What follows the password is no option. If the password contains a comma, put it in double "
    "quotes, or use a credentials file."
)


def nfs(name: str, instead: str) -> str:
    """The sentence for an option of NFS that people try."""
    return f"`{name}` is an NFS option. {instead}"


class OptionError(ValueError):
    """The mount cannot be asked for like this; the text is one sentence for the user.

    ``exit_status`` is the one that mount(8) documents.  What a terminal would not print is made
    visible, whatever was quoted.
    """

    def __init__(self, sentence: str, exit_status: int = USAGE) -> None:
        shown = (c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in sentence)
        super().__init__("".join(shown))
        self.exit_status = exit_status
