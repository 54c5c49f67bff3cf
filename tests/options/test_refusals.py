"""The sentences that the document prescribes, word by word."""

from __future__ import annotations

import pytest

from smbfs.options import OptionError, parse

SENTENCES = {
    "vers=1.0": "SMB1 is obsolete and unsafe, and smbfs does not speak it. "
    "Enable SMB2 or SMB3 on the server.",
    "ver=3.0": "`ver=` is the version of an old mount helper. "
    "For the SMB dialect write `vers=3.0`.",
    "sec=ntlm": "NTLMv1 and LANMAN logins can be broken by anyone who listens. "
    "Use `sec=ntlmssp`, which sends NTLMv2.",
    "sec=ntlmi": "NTLMv1 and LANMAN logins can be broken by anyone who listens. "
    "Use `sec=ntlmssp`, which sends NTLMv2.",
    "sec=lanman": "NTLMv1 and LANMAN logins can be broken by anyone who listens. "
    "Use `sec=ntlmssp`, which sends NTLMv2.",
    "signloosely": "This would accept forged answers. "
    "Repair signing on the server, or add `insecure` if you accept the risk.",
    "rdma": "smbfs has no RDMA. Remove `rdma` to use TCP, or mount with `-t cifs`.",
    "rootfs": "smbfs cannot hold the root file system.",
    "iocharset=latin1": "smbfs file names are UTF-8. Remove `iocharset=latin1`.",
    "sep=;": "Another separator is not supported. "
    "Put the value in double quotes, or use a credentials file.",
    "timeo=600": "`timeo=` is an NFS option. Did you mean `timeout=` (seconds)?",
    "retry=2": "`retry=` is an NFS option. Did you mean `delay_connect`?",
    "bg": "`bg` is an NFS option. Did you mean `delay_connect`?",
    "proto=tcp": "`proto=` is an NFS option. Remove it.",
    "nfsvers=4": "`nfsvers=` is an NFS option. Did you mean `vers=`?",
    "umask=022": "Use `file_mode=` and `dir_mode=`.",
    "attr_timeout=1": "Use `actimeo=`.",
    "fd=3": "`fd` is internal to FUSE; remove it.",
    "loop": "`loop` is the business of mount(8) and means nothing to a share; remove it.",
    "qqqqqqqq": "Unknown option `qqqqqqqq`. Add `sloppy` to skip unknown options.",
}


@pytest.mark.parametrize("text", SENTENCES)
def test_sentence(text: str) -> None:
    with pytest.raises(OptionError) as refusal:
        parse("//nas/music", [text], is_root=True)
    assert str(refusal.value) == SENTENCES[text]


def test_a_refused_option_is_refused_in_either_form() -> None:
    for text in ("timeo", "bg=1", "rdma=1"):
        with pytest.raises(OptionError, match=r"NFS option|RDMA"):
            parse("//nas/music", [text], is_root=True)
