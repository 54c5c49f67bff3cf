"""How the fake server greets and lets in: NEGOTIATE, SESSION_SETUP, keys.

Built on the classes of `smbfs.wire` and `smbfs.crypto`, with its own idea of who says what when
([MS-SMB2] 3.3.5.4, 3.3.5.5).  The NTLM acceptor is pyspnego's.

Rule easily broken: the preauth hash folds in what was on the wire, so requests are hashed as they
came and answers as they leave, and never the final one.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import spnego
from spnego.exceptions import InvalidTokenError, NegotiateOptions, SpnegoError

from smbfs.crypto import Preauth, Sealer, Signer, derive_keys, signer_for
from smbfs.wire.constants import (
    Cipher,
    ContextType,
    Dialect,
    GlobalCapabilities,
    HashAlgorithm,
    SecurityMode,
    SessionFlags,
    SigningAlgorithm,
)
from smbfs.wire.contexts import (
    POSIX_GUID,
    EncryptionCapabilities,
    PreauthCapabilities,
    SigningCapabilities,
    negotiate_contexts,
    pack_negotiate,
)
from smbfs.wire.messages import (
    NegotiateRequest,
    NegotiateResponse,
    SessionSetupRequest,
    SessionSetupResponse,
    dialects,
    pack_dialects,
)
from smbfs.wire.status import Status
from tests.fake.tree import EPOCH, Fail

USER, PASSWORD, DOMAIN = "tester", "secret", "FAKE"
ALL_DIALECTS = (
    Dialect.SMB_2_0_2,
    Dialect.SMB_2_1,
    Dialect.SMB_3_0,
    Dialect.SMB_3_0_2,
    Dialect.SMB_3_1_1,
)
NTLM_AUTHENTICATE = b"NTLMSSP\0\3\0\0\0"
ANONYMOUS = 0x00000800  # NTLMSSP_NEGOTIATE_ANONYMOUS
ENCRYPTING = (Dialect.SMB_3_0, Dialect.SMB_3_0_2, Dialect.SMB_3_1_1)


@dataclass
class Nature:
    """What kind of server this is; as its configuration says."""

    dialects: Sequence[int] = ALL_DIALECTS
    ciphers: Sequence[int] = (
        Cipher.AES_128_GCM,
        Cipher.AES_128_CCM,
        Cipher.AES_256_GCM,
        Cipher.AES_256_CCM,
    )
    signing_algorithms: Sequence[int] = (
        SigningAlgorithm.AES_GMAC,
        SigningAlgorithm.AES_CMAC,
        SigningAlgorithm.HMAC_SHA256,
    )
    must_sign: bool = False
    must_seal: bool = False  # sessions are told to encrypt everything
    guests: bool = False  # a user nobody knows becomes a guest
    anonymous: bool = False
    posix: bool = False
    large_mtu: bool = True
    leasing: bool = True
    directory_leasing: bool = False
    validates: bool = True  # knows FSCTL_VALIDATE_NEGOTIATE_INFO
    max_transact: int = 8 << 20
    max_read: int = 8 << 20
    max_write: int = 8 << 20
    max_credits: int = 8192  # the window of one connection
    guid: bytes = b"a fake server's "
    users: dict[str, str] = field(default_factory=lambda: {USER: PASSWORD})

    @property
    def security_mode(self) -> int:
        """What NEGOTIATE says of signing."""
        required = SecurityMode.SIGNING_REQUIRED if self.must_sign else 0
        return SecurityMode.SIGNING_ENABLED | required


@dataclass(eq=False)
class Greeting:
    """What one connection agreed on."""

    dialect: int
    capabilities: int
    cipher: int
    signing_algorithm: int
    request: NegotiateRequest


def negotiate(nature: Nature, request: NegotiateRequest) -> tuple[Greeting, NegotiateResponse]:
    """Answer a NEGOTIATE ([MS-SMB2] 3.3.5.4); fails if no dialect is common."""
    common = set(dialects(request)) & set(nature.dialects)
    if not common:
        raise Fail(Status.NOT_SUPPORTED)
    dialect = max(common)
    greeting = Greeting(dialect, _capabilities(nature, dialect), 0, 0, request)
    contexts = []
    if dialect == Dialect.SMB_3_1_1:
        contexts = _contexts(nature, request, greeting)
    elif greeting.capabilities & GlobalCapabilities.ENCRYPTION:
        greeting.cipher = Cipher.AES_128_CCM
    size = 65536 if dialect == Dialect.SMB_2_0_2 or not nature.large_mtu else 1 << 30
    response = NegotiateResponse(
        security_mode=nature.security_mode,
        dialect_revision=dialect,
        negotiate_context_count=len(contexts),
        server_guid=nature.guid,
        capabilities=greeting.capabilities,
        max_transact_size=min(size, nature.max_transact),
        max_read_size=min(size, nature.max_read),
        max_write_size=min(size, nature.max_write),
        system_time=EPOCH,
        contexts=pack_negotiate(contexts),
    )
    return greeting, response


def _capabilities(nature: Nature, dialect: int) -> int:
    bits = 0
    if dialect >= Dialect.SMB_2_1:
        bits |= GlobalCapabilities.LARGE_MTU if nature.large_mtu else 0
        bits |= GlobalCapabilities.LEASING if nature.leasing else 0
        bits |= GlobalCapabilities.DIRECTORY_LEASING if nature.directory_leasing else 0
    if dialect in ENCRYPTING and dialect < Dialect.SMB_3_1_1 and nature.ciphers:
        bits |= GlobalCapabilities.ENCRYPTION
    return bits


def _contexts(
    nature: Nature, request: NegotiateRequest, greeting: Greeting
) -> list[tuple[int, bytes]]:
    offered = dict(negotiate_contexts(memoryview(request.contexts)))
    preauth = PreauthCapabilities(
        hash_algorithms=pack_dialects([HashAlgorithm.SHA_512]), salt=bytes(32)
    )
    found = [(ContextType.PREAUTH_INTEGRITY_CAPABILITIES, bytes(preauth))]
    greeting.signing_algorithm = SigningAlgorithm.AES_CMAC
    if (data := offered.get(ContextType.SIGNING_CAPABILITIES)) is not None:
        wanted = _numbers(SigningCapabilities.parse(data, 0).signing_algorithms)
        greeting.signing_algorithm = next(one for one in nature.signing_algorithms if one in wanted)
        chosen = pack_dialects([greeting.signing_algorithm])
        found.append(
            (
                ContextType.SIGNING_CAPABILITIES,
                bytes(SigningCapabilities(signing_algorithms=chosen)),
            )
        )
    if (data := offered.get(ContextType.ENCRYPTION_CAPABILITIES)) is not None:
        wanted = _numbers(EncryptionCapabilities.parse(data, 0).ciphers)
        greeting.cipher = next((one for one in nature.ciphers if one in wanted), Cipher.NONE)
        chosen = pack_dialects([greeting.cipher])
        found.append(
            (ContextType.ENCRYPTION_CAPABILITIES, bytes(EncryptionCapabilities(ciphers=chosen)))
        )
    if nature.posix and ContextType.POSIX_EXTENSIONS in offered:
        found.append((ContextType.POSIX_EXTENSIONS, POSIX_GUID))
    return found


def _numbers(array: bytes | memoryview) -> list[int]:
    return [int.from_bytes(array[at : at + 2], "little") for at in range(0, len(array), 2)]


@dataclass(eq=False)
class Session:
    """One login, begun or done."""

    session_id: int
    preauth: Preauth
    acceptor: spnego.ContextProxy | None = None
    flags: int = 0
    signer: Signer | None = None
    sealer: Sealer | None = None
    is_valid: bool = False
    expired: bool = False

    @property
    def must_seal(self) -> bool:
        """Whether plain requests are refused."""
        return bool(self.flags & SessionFlags.ENCRYPT_DATA)


def set_up(
    nature: Nature, greeting: Greeting, session: Session, request: SessionSetupRequest
) -> tuple[Status, SessionSetupResponse]:
    """Take one step of a login; fails with LOGON_FAILURE or ACCESS_DENIED."""
    token = bytes(request.security_buffer)
    if session.acceptor is None:
        session.acceptor = spnego.server(
            hostname="fake",
            service="cifs",
            options=NegotiateOptions.session_key | NegotiateOptions.use_negotiate,
        )
    if _is_anonymous(token):
        if not nature.anonymous:
            raise Fail(Status.ACCESS_DENIED)
        session.flags = SessionFlags.NULL
        session.is_valid = True
        return Status.SUCCESS, SessionSetupResponse(session_flags=session.flags)
    try:
        with _user_file(nature):
            answer = session.acceptor.step(token)
    except InvalidTokenError:
        raise Fail(Status.LOGON_FAILURE) from None
    except SpnegoError:  # nobody of that name
        if not nature.guests:
            raise Fail(Status.LOGON_FAILURE) from None
        session.flags, session.is_valid = SessionFlags.GUEST, True
        return Status.SUCCESS, SessionSetupResponse(session_flags=session.flags)
    except ValueError:
        raise Fail(Status.INVALID_PARAMETER) from None
    if not session.acceptor.complete:
        return Status.MORE_PROCESSING_REQUIRED, SessionSetupResponse(security_buffer=answer or b"")
    _keys(nature, greeting, session)
    response = SessionSetupResponse(session_flags=session.flags, security_buffer=answer or b"")
    return Status.SUCCESS, response


def _is_anonymous(token: bytes) -> bool:
    at = token.find(NTLM_AUTHENTICATE)
    return at >= 0 and bool(int.from_bytes(token[at + 60 : at + 64], "little") & ANONYMOUS)


def _keys(nature: Nature, greeting: Greeting, session: Session) -> None:
    """Derive the session's keys; its preauth hash holds all but the answer to come."""
    assert session.acceptor is not None
    keys = derive_keys(
        greeting.dialect, session.acceptor.session_key, session.preauth.digest, greeting.cipher
    )
    session.signer = signer_for(greeting.dialect, greeting.signing_algorithm, keys.signing)
    if greeting.cipher:
        session.sealer = Sealer(greeting.cipher, keys.s2c, keys.c2s, session.session_id)
        session.flags = SessionFlags.ENCRYPT_DATA if nature.must_seal else 0
    elif nature.must_seal:
        raise Fail(Status.ACCESS_DENIED)
    session.is_valid = True


@contextlib.contextmanager
def _user_file(nature: Nature) -> Iterator[None]:
    """Show pyspnego's acceptor the passwords, which it takes from the environment only."""
    lines = [
        f"{domain}:{user}:{password}"
        for user, password in nature.users.items()
        for domain in ("", DOMAIN)
    ]
    path = _users_path()
    path.write_text("\n".join(lines))
    before = os.environ.get("NTLM_USER_FILE")
    os.environ["NTLM_USER_FILE"] = str(path)
    try:
        yield
    finally:
        if before is None:
            del os.environ["NTLM_USER_FILE"]
        else:
            os.environ["NTLM_USER_FILE"] = before


def _users_path() -> Path:
    if not PLACE:
        directory = tempfile.TemporaryDirectory(prefix="smbfs-fake-")
        atexit.register(directory.cleanup)
        PLACE.append(Path(directory.name) / "users")
    return PLACE[0]


PLACE: list[Path] = []  # of the file of users: one for this process
