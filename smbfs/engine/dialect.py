"""What we offer a server, and whether its choice is one we can live with.

Pure: `offer` makes the NEGOTIATE request of a `Policy`, `choose` turns the answer into one frozen
`Capabilities` or raises, `validation` and `check_validation` ask again under a signature
([MS-SMB2] 2.2.3, 2.2.4, 3.2.5.2, 3.2.5.5).  Knows bytes and policy, not sockets or sessions.

Easily broken: a NEGOTIATE answer is not signed, so it may come from anybody.  Nothing in it is
used that we did not offer, and what it leaves out makes us refuse, never make do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from uuid import uuid4

from smbfs.errors import Refused, StatusError, Tampered
from smbfs.wire.codec import Blob, WireError
from smbfs.wire.constants import (
    Cipher,
    ContextType,
    Dialect,
    GlobalCapabilities,
    HashAlgorithm,
    SecurityMode,
    SigningAlgorithm,
)
from smbfs.wire.contexts import (
    POSIX_GUID,
    EncryptionCapabilities,
    NetName,
    PreauthCapabilities,
    SigningCapabilities,
    negotiate_contexts,
    pack_negotiate,
)
from smbfs.wire.fsctl import ValidateNegotiateInfoRequest, ValidateNegotiateInfoResponse
from smbfs.wire.header import Command, parse_header
from smbfs.wire.messages import NegotiateRequest, NegotiateResponse, dialects, pack_dialects
from smbfs.wire.status import Status
from smbfs.wire.units import utf16

_2, _21, _30 = Dialect.SMB_2_0_2, Dialect.SMB_2_1, Dialect.SMB_3_0
_302, _311 = Dialect.SMB_3_0_2, Dialect.SMB_3_1_1
NAMES = {_2: "2.0.2", _21: "2.1", _30: "3.0", _302: "3.0.2", _311: "3.1.1"}
DIALECTS_FOR: dict[str, tuple[int, ...]] = {  # vers=
    "default": (_21, _30, _302, _311),
    "3": (_30, _302, _311),
    "2.0": (_2,),
    "2.1": (_21,),
    "3.0": (_30,),
    "3.02": (_302,),
    "3.0.2": (_302,),
    "3.1.1": (_311,),
    "3.11": (_311,),
}
# 128 bits first, since they are faster and enough; a Samba server prefers them anyway.
CIPHERS = (Cipher.AES_128_GCM, Cipher.AES_256_GCM, Cipher.AES_128_CCM, Cipher.AES_256_CCM)
SIGNING_ALGORITHMS = (
    SigningAlgorithm.AES_GMAC,
    SigningAlgorithm.AES_CMAC,
    SigningAlgorithm.HMAC_SHA256,
)
SMALL = 65536  # what one credit pays for: every transfer without multi-credit requests
TRANSACT = 1 << 20  # our own limit for listings and ioctls
SALT_SIZE = 32

SMB1_ONLY = (
    "speaks only SMB1, which is obsolete and unsafe; smbfs does not. Look for an SMB2 or SMB3 "
    "setting or a newer system for it"
)
# An SMB1 NEGOTIATE of "NT LM 0.12" alone: [MS-CIFS] 2.2.4.52.  Without "SMB 2.???" among its
# dialects it can never begin an SMB2 connection.
SMB1_PROBE = b"".join(
    [
        b"\xffSMB\x72" + bytes(4),  # NEGOTIATE, status
        b"\x18\x01\x48" + bytes(12),  # flags: canonical names, NT errors, long names
        b"\xff\xff\x01" + bytes(5),  # no tree, process 1, no user
        b"\x00\x0c\x00\x02NT LM 0.12\x00",  # no words, 12 bytes
    ]
)


@dataclass(frozen=True)
class Policy:
    """What we insist on and what we would like, from the mount's options."""

    dialects: tuple[int, ...] = DIALECTS_FOR["default"]
    sign: bool = True  # whenever the login gives a key
    seal: bool = False
    ciphers: tuple[int, ...] = CIPHERS
    signing_algorithms: tuple[int, ...] = SIGNING_ALGORITHMS
    posix: bool = True
    hard: bool = False  # calls wait for a server that is away until it is back
    handle_timeout_ms: int = 0  # how long the server shall keep open files; 0: as it likes
    persistent: bool = True  # where the share is continuously available
    timeout_s: float = 15.0
    echo_interval_s: float = 10.0
    max_credits: int = 512
    rsize: int = 1 << 20  # bytes; Windows advertises 8 MiB and stumbles over it
    wsize: int = 1 << 20
    # One per mount, the same after every reconnect: leases and durable handles belong to it.
    client_guid: bytes = field(default_factory=lambda: uuid4().bytes)


@dataclass(frozen=True)
class Capabilities:
    """What was agreed on one connection.  Sizes are bytes, times FILETIMEs."""

    dialect: int
    server_guid: bytes
    security_mode: int  # as the server sent it
    capabilities: int  # as the server sent it
    max_transact: int
    max_read: int
    max_write: int
    cipher: int  # 0: nothing can be sealed
    signing_algorithm: int
    signing_required: bool
    posix: bool
    large_mtu: bool  # without it a request costs one credit and CreditCharge stays 0
    leasing: bool
    directory_leasing: bool
    system_time: int
    security_blob: bytes = field(repr=False)  # the first token for `smbfs.auth`; may be empty


# Offering


def offer(policy: Policy, server_name: str, salt: bytes) -> NegotiateRequest:
    """The NEGOTIATE request of a policy ([MS-SMB2] 3.2.4.2.2.2).

    ``server_name`` as the user typed it; ``salt`` is `SALT_SIZE` random bytes, fresh each time.
    """
    contexts = _contexts(policy, server_name, salt) if _311 in policy.dialects else []
    return NegotiateRequest(
        security_mode=_security_mode(policy),
        capabilities=_offered_bits(policy),
        client_guid=bytes(16) if policy.dialects == (_2,) else policy.client_guid,
        negotiate_context_count=len(contexts),
        dialects=pack_dialects(policy.dialects),
        contexts=pack_negotiate(contexts),
    )


def lower(policy: Policy) -> Policy | None:
    """The policy to ask old servers with that choke on 3.1.1 and its contexts, if there is one.

    `validation` must still be given the original: it finds out if somebody else did the choking.
    """
    rest = tuple(dialect for dialect in policy.dialects if dialect < _311)
    if not rest or rest == policy.dialects:
        return None
    return replace(policy, dialects=rest)


def _security_mode(policy: Policy) -> int:
    return SecurityMode.SIGNING_ENABLED | (SecurityMode.SIGNING_REQUIRED if policy.sign else 0)


def _offered_bits(policy: Policy) -> int:
    if max(policy.dialects) < _30:
        return 0  # reserved there
    bits = (
        GlobalCapabilities.LEASING
        | GlobalCapabilities.LARGE_MTU
        | GlobalCapabilities.DIRECTORY_LEASING
    )
    # Samba looks at the 3.1.1 cipher context only if this bit is set too.
    return bits | (GlobalCapabilities.ENCRYPTION if policy.ciphers else 0)


def _contexts(policy: Policy, server_name: str, salt: bytes) -> list[tuple[int, bytes]]:
    preauth = PreauthCapabilities(hash_algorithms=pack_dialects([HashAlgorithm.SHA_512]), salt=salt)
    contexts = [
        (ContextType.PREAUTH_INTEGRITY_CAPABILITIES, bytes(preauth)),
        (
            ContextType.SIGNING_CAPABILITIES,
            bytes(SigningCapabilities(signing_algorithms=pack_dialects(policy.signing_algorithms))),
        ),
        (ContextType.NETNAME_NEGOTIATE_CONTEXT_ID, bytes(NetName(net_name=utf16(server_name)))),
    ]
    if policy.ciphers:
        ciphers = EncryptionCapabilities(ciphers=pack_dialects(policy.ciphers))
        contexts.append((ContextType.ENCRYPTION_CAPABILITIES, bytes(ciphers)))
    if policy.posix:
        contexts.append((ContextType.POSIX_EXTENSIONS, POSIX_GUID))
    return contexts


# Choosing


def choose(policy: Policy, request: NegotiateRequest, view: memoryview) -> Capabilities:
    """What the answer to ``request`` means for us ([MS-SMB2] 3.2.5.2).

    ``view`` is the whole message.  Raises WireError for bytes that are no answer, Refused for a
    choice we do not accept, StatusError if `lower` is worth asking with.
    """
    if looks_like_smb1(view):
        raise Refused(f"the server {SMB1_ONLY}")
    _check_status(policy, parse_header(view).status)
    response = NegotiateResponse.parse(view)
    dialect = response.dialect_revision
    _check_choice(policy, dialects(request), response)
    contexts = _chosen_contexts(response) if dialect == _311 else {}
    cipher = _cipher(policy, response, contexts)
    if policy.seal and not cipher:
        why = "it has no cipher in common with us" if dialect >= _30 else "encryption begins at 3.0"
        said = f"the server speaks SMB {NAMES[dialect]}, and {why}"
        raise Refused(f"{said}: nothing can be encrypted, which `seal` asks for")
    bits = response.capabilities if dialect >= _21 else 0
    large_mtu = bool(bits & GlobalCapabilities.LARGE_MTU)
    most = TRANSACT if large_mtu else SMALL
    return Capabilities(
        dialect=dialect,
        server_guid=response.server_guid,
        security_mode=response.security_mode,
        capabilities=response.capabilities,
        max_transact=min(response.max_transact_size, most),
        max_read=min(response.max_read_size, policy.rsize if large_mtu else SMALL),
        max_write=min(response.max_write_size, policy.wsize if large_mtu else SMALL),
        cipher=cipher,
        signing_algorithm=_signing_algorithm(policy, dialect, contexts),
        signing_required=policy.sign
        or bool(response.security_mode & SecurityMode.SIGNING_REQUIRED),
        posix=policy.posix and _has_posix(contexts),
        large_mtu=large_mtu,
        leasing=bool(bits & GlobalCapabilities.LEASING),
        directory_leasing=dialect >= _30 and bool(bits & GlobalCapabilities.DIRECTORY_LEASING),
        system_time=response.system_time,
        security_blob=bytes(response.security_buffer),
    )


def _check_status(policy: Policy, status: int) -> None:
    if status == Status.SUCCESS:
        return
    if status == Status.NOT_SUPPORTED and lower(policy) is None:
        names = ", ".join(NAMES[dialect] for dialect in policy.dialects)
        why = "; `seal` needs 3.0 or later" if policy.seal else ""
        raise Refused(f"the server speaks none of the SMB versions we ask for ({names}){why}")
    raise StatusError(Status(status), Command.NEGOTIATE.name)


def _check_choice(policy: Policy, offered: Iterable[int], response: NegotiateResponse) -> None:
    dialect = response.dialect_revision
    if dialect not in offered:
        name = NAMES.get(dialect, f"{dialect:#06x}")
        raise Refused(f"the server chose SMB {name}, which was not offered")
    if not (response.max_transact_size and response.max_read_size and response.max_write_size):
        raise Refused("the server lets nothing be read or written: it allows sizes of 0 bytes")
    signs = SecurityMode.SIGNING_ENABLED | SecurityMode.SIGNING_REQUIRED
    if policy.sign and not response.security_mode & signs:
        raise Refused("the server cannot sign, so anybody on the way could change what it says")


def _chosen_contexts(response: NegotiateResponse) -> dict[int, memoryview]:
    """The contexts of a 3.1.1 answer, each type once and the indispensable one checked."""
    count = response.negotiate_context_count
    # What follows the last context is padding or rubbish; both have been seen.
    chosen = list(islice(negotiate_contexts(memoryview(response.contexts)), count))
    contexts = dict(chosen)
    if len(chosen) != count:
        raise WireError(f"{len(chosen)} negotiate contexts, not {count}")
    if len(contexts) != count:
        raise Refused("the server answered one negotiate context twice")
    if (data := contexts.get(ContextType.PREAUTH_INTEGRITY_CAPABILITIES)) is None:
        raise Refused("the server chose SMB 3.1.1 without protecting the negotiation")
    hashes = PreauthCapabilities.parse(data, 0).hash_algorithms
    if _only(hashes, "hash") != HashAlgorithm.SHA_512:
        raise Refused("the server chose a hash that was not offered")
    return contexts


def _cipher(policy: Policy, response: NegotiateResponse, contexts: dict[int, memoryview]) -> int:
    dialect = response.dialect_revision
    if dialect < _30:
        return Cipher.NONE
    if dialect < _311:
        can = response.capabilities & GlobalCapabilities.ENCRYPTION
        return Cipher.AES_128_CCM if can and Cipher.AES_128_CCM in policy.ciphers else Cipher.NONE
    # Here the capability bit says nothing: NetApp sets it whatever the context says.
    if (data := contexts.get(ContextType.ENCRYPTION_CAPABILITIES)) is None:
        return Cipher.NONE
    cipher = _only(EncryptionCapabilities.parse(data, 0).ciphers, "cipher")
    if cipher not in (Cipher.NONE, *policy.ciphers):
        raise Refused(f"the server chose cipher {cipher}, which was not offered")
    return cipher


def _signing_algorithm(policy: Policy, dialect: int, contexts: dict[int, memoryview]) -> int:
    if dialect < _30:
        return SigningAlgorithm.HMAC_SHA256
    if (data := contexts.get(ContextType.SIGNING_CAPABILITIES)) is None:
        return SigningAlgorithm.AES_CMAC
    algorithm = _only(SigningCapabilities.parse(data, 0).signing_algorithms, "signing algorithm")
    if algorithm not in policy.signing_algorithms:
        raise Refused(f"the server chose signing algorithm {algorithm}, which was not offered")
    return algorithm


def _has_posix(contexts: dict[int, memoryview]) -> bool:
    data = bytes(contexts.get(ContextType.POSIX_EXTENSIONS, b""))
    return POSIX_GUID in [data[at : at + 16] for at in range(0, len(data), 16)]


def _only(numbers: Blob, what: str) -> int:
    if len(numbers) != 2:
        raise Refused(f"the server must choose one {what}, not {len(numbers) // 2}")
    return int.from_bytes(numbers, "little")


# Asking again, under a signature


def validation(
    policy: Policy, request: NegotiateRequest, capabilities: Capabilities
) -> ValidateNegotiateInfoRequest | None:
    """The body of FSCTL_VALIDATE_NEGOTIATE_INFO ([MS-SMB2] 3.2.5.5), if it has to be asked.

    Not for 3.1.1, whose keys prove the negotiation, and not if no 3.x was offered.  The dialects
    are those of ``policy``: give the one from before `lower`, or a forged refusal of 3.1.1 would
    pass unseen.
    """
    if capabilities.dialect >= _311 or max(policy.dialects) < _30:
        return None
    return ValidateNegotiateInfoRequest(
        capabilities=request.capabilities,
        guid=request.client_guid,
        security_mode=request.security_mode,
        dialects=pack_dialects(policy.dialects),
    )


def check_validation(capabilities: Capabilities, response: ValidateNegotiateInfoResponse) -> None:
    """Compare what the server says under its signature with what was heard before.

    Raises Tampered.
    """
    heard = (
        capabilities.capabilities,
        capabilities.server_guid,
        capabilities.security_mode,
        capabilities.dialect,
    )
    said = (response.capabilities, response.guid, response.security_mode, response.dialect)
    if heard != said:
        raise Tampered("the server remembers another negotiation: somebody changed it on its way")


# SMB1


def looks_like_smb1(view: memoryview) -> bool:
    """Whether the answer to our SMB2 NEGOTIATE is an SMB1 message.

    Samba with ``server max protocol = NT1`` says nothing at all and closes the connection; then
    only `SMB1_PROBE` on a second connection tells why.
    """
    return bytes(view[:4]) == b"\xffSMB"


def accepts_smb1(view: memoryview) -> bool:
    """Whether the answer to `SMB1_PROBE` agrees to SMB1; an SMB2 server answers index 0xFFFF."""
    if not looks_like_smb1(view) or len(view) < 35:
        return False
    words, index = view[32], bytes(view[33:35])
    return bytes(view[4:9]) == b"\x72" + bytes(4) and words > 0 and index == b"\0\0"
