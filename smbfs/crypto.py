"""Keys, signatures and seals of SMB2 and SMB3: what proves a message and what hides it.

Knows the algorithms of [MS-SMB2] 3.1.4 and the transform header; knows nothing of connections or
of who must sign what: `smbfs.engine.exchange` decides that.  Messages come as parts, so that a
megabyte of data is never joined only to be signed.

Easily broken: a nonce used twice under one key gives GCM away altogether, so there is exactly one
`Sealer` per pair of keys, shared by all that seal with them, and it counts.  Nothing here prints
a key.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256, sha512
from typing import NamedTuple, Protocol, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import ciphers
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM
from cryptography.hazmat.primitives.cmac import CMAC

from smbfs.errors import ConnectionLost, Tampered
from smbfs.wire.codec import HEADER_SIZE, Blob
from smbfs.wire.constants import Cipher, Dialect, SigningAlgorithm
from smbfs.wire.header import TRANSFORM_ID, TransformHeader

TAG_SIZE = 16  # of a signature and of a seal
KEY_SIZE = 16  # of Session.SessionKey, whatever the mechanism gave
ENCRYPTED = 1  # the only value of the transform header's Flags
AUTHENTICATED_FROM = 20  # in the transform header: all but ProtocolId and Signature
COUNTER_SIZE = 6
NONCES = 1 << 8 * COUNTER_SIZE  # messages under one key: at 100 000 a second, 89 years
JOINED_BELOW = 64 * 1024  # GMAC of less in one joined piece: 0.7 µs instead of 4.8


class Mode(NamedTuple):
    """What a cipher id stands for; the sizes are bytes."""

    aead: type[AESCCM] | type[AESGCM]
    key_size: int
    nonce_size: int


MODES = {
    Cipher.AES_128_CCM: Mode(AESCCM, 16, 11),
    Cipher.AES_128_GCM: Mode(AESGCM, 16, 12),
    Cipher.AES_256_CCM: Mode(AESCCM, 32, 11),
    Cipher.AES_256_GCM: Mode(AESGCM, 32, 12),
}


def kdf(key: bytes, label: bytes, context: bytes, bits: int = 128) -> bytes:
    """Derive a key of at most 256 bits: SP800-108 in counter mode with HMAC-SHA256.

    ``label`` and ``context`` carry their own terminating zeros ([MS-SMB2] 3.1.4.2).
    """
    counter, length = (1).to_bytes(4, "big"), bits.to_bytes(4, "big")
    block = hmac.digest(key, b"".join((counter, label, b"\0", context, length)), "sha256")
    return block[: bits // 8]


class Preauth:
    """The SHA-512 chain over the messages that set a session up ([MS-SMB2] 3.2.5.2)."""

    __slots__ = ("digest",)

    def __init__(self, digest: bytes = bytes(64)) -> None:
        self.digest = digest

    def update(self, *parts: Blob) -> None:
        """Fold in one whole message, as it was on the wire after the 4 bytes of its frame."""
        chain = sha512(self.digest)
        for part in parts:
            chain.update(part)
        self.digest = chain.digest()

    def copy(self) -> Preauth:
        """Branch off: each session starts from what the connection has."""
        return Preauth(self.digest)


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """The keys of one session; empty ones where the dialect has none."""

    signing: bytes
    c2s: bytes
    s2c: bytes
    application: bytes

    def __repr__(self) -> str:
        sizes = (f"{name}={len(getattr(self, name))} bytes" for name in self.__slots__)
        return f"Keys({', '.join(sizes)})"


def derive_keys(dialect: int, session_key: bytes, preauth: bytes, cipher: int) -> Keys:
    """Make a session's keys from what authentication left, as long as it left it.

    ``preauth`` counts in 3.1.1 only, ``cipher`` may be 0; both ends of a seal with AES-256 use
    the mechanism's full key ([MS-SMB2] 3.2.5.3.1).
    """
    key = session_key[:KEY_SIZE].ljust(KEY_SIZE, b"\0")
    if dialect < Dialect.SMB_3_0:
        return Keys(key, b"", b"", key)
    if dialect < Dialect.SMB_3_1_1:
        return Keys(
            kdf(key, b"SMB2AESCMAC\0", b"SmbSign\0"),
            kdf(key, b"SMB2AESCCM\0", b"ServerIn \0"),  # this space is in the specification
            kdf(key, b"SMB2AESCCM\0", b"ServerOut\0"),
            kdf(key, b"SMB2APP\0", b"SmbRpc\0"),
        )
    bits = 8 * MODES[cipher].key_size if cipher else 128
    full = session_key if bits == 256 else key
    return Keys(
        kdf(key, b"SMBSigningKey\0", preauth),
        kdf(full, b"SMBC2SCipherKey\0", preauth, bits),
        kdf(full, b"SMBS2CCipherKey\0", preauth, bits),
        kdf(key, b"SMBAppKey\0", preauth),
    )


class Signer(Protocol):
    """Makes and checks the 16 bytes in a header's Signature field ([MS-SMB2] 3.1.4.1).

    The parts are one whole message, its padding included, with that field zero.
    """

    def sign(
        self, parts: Sequence[Blob], *, message_id: int, from_server: bool, is_cancel: bool
    ) -> bytes:
        """The signature of a message."""

    def verify(
        self,
        parts: Sequence[Blob],
        signature: Blob,
        *,
        message_id: int,
        is_cancel: bool,
        from_server: bool = True,
    ) -> bool:
        """Whether a message carries this signature, found out in constant time."""


class HmacSigner:
    """HMAC-SHA256, cut to 16 bytes: dialects 2.0.2 and 2.1."""

    def __init__(self, key: bytes) -> None:
        self._fresh = hmac.new(key, digestmod=sha256)

    def sign(
        self, parts: Sequence[Blob], *, message_id: int, from_server: bool, is_cancel: bool
    ) -> bytes:
        running = self._fresh.copy()
        for part in parts:
            running.update(part)
        return running.digest()[:TAG_SIZE]

    def verify(
        self,
        parts: Sequence[Blob],
        signature: Blob,
        *,
        message_id: int,
        is_cancel: bool,
        from_server: bool = True,
    ) -> bool:
        return _is_made_by(self, parts, signature, message_id, from_server, is_cancel)


class CmacSigner:
    """AES-128-CMAC: dialects 3.0 and 3.0.2, and 3.1.1 without another agreement."""

    def __init__(self, key: bytes) -> None:
        self._fresh = CMAC(AES(key))

    def sign(
        self, parts: Sequence[Blob], *, message_id: int, from_server: bool, is_cancel: bool
    ) -> bytes:
        running = self._fresh.copy()
        for part in parts:
            running.update(cast(bytes, part))  # its stub is too narrow
        return running.finalize()

    def verify(
        self,
        parts: Sequence[Blob],
        signature: Blob,
        *,
        message_id: int,
        is_cancel: bool,
        from_server: bool = True,
    ) -> bool:
        return _is_made_by(self, parts, signature, message_id, from_server, is_cancel)


class GmacSigner:
    """AES-128-GMAC: the only one whose signature depends on who sends which message."""

    def __init__(self, key: bytes) -> None:
        self._aes = AES(key)
        self._gcm = AESGCM(key)

    def sign(
        self, parts: Sequence[Blob], *, message_id: int, from_server: bool, is_cancel: bool
    ) -> bytes:
        # Without these bits a request and its answer, or its CANCEL, would share a nonce.
        nonce = message_id.to_bytes(8, "little") + bytes((from_server | is_cancel << 1, 0, 0, 0))
        if sum(map(len, parts)) < JOINED_BELOW:
            return self._gcm.encrypt(nonce, b"", b"".join(parts))
        running = ciphers.Cipher(self._aes, GCM(nonce)).encryptor()
        for part in parts:
            running.authenticate_additional_data(part)
        running.finalize()
        return running.tag

    def verify(
        self,
        parts: Sequence[Blob],
        signature: Blob,
        *,
        message_id: int,
        is_cancel: bool,
        from_server: bool = True,
    ) -> bool:
        return _is_made_by(self, parts, signature, message_id, from_server, is_cancel)


def _is_made_by(
    signer: Signer,
    parts: Sequence[Blob],
    signature: Blob,
    message_id: int,
    from_server: bool,
    is_cancel: bool,
) -> bool:
    right = signer.sign(parts, message_id=message_id, from_server=from_server, is_cancel=is_cancel)
    return hmac.compare_digest(right, signature)


SIGNERS: dict[int, type[HmacSigner] | type[CmacSigner] | type[GmacSigner]] = {
    SigningAlgorithm.HMAC_SHA256: HmacSigner,
    SigningAlgorithm.AES_CMAC: CmacSigner,
    SigningAlgorithm.AES_GMAC: GmacSigner,
}


def signer_for(dialect: int, algorithm: int, key: bytes) -> Signer:
    """The signer a dialect has, or in 3.1.1 the one agreed on, which is CMAC if nothing was."""
    if dialect < Dialect.SMB_3_0:
        return HmacSigner(key)
    if dialect < Dialect.SMB_3_1_1:
        return CmacSigner(key)
    return SIGNERS[algorithm](key)


class Sealer:
    """Encrypts what one session sends and decrypts what it receives ([MS-SMB2] 3.1.4.3).

    Not safe in several threads at once: two of them could draw one nonce.
    """

    def __init__(self, cipher: int, seal_key: bytes, open_key: bytes, session_id: int) -> None:
        mode = MODES[cipher]
        self._seal = mode.aead(seal_key)
        self._open = mode.aead(open_key)
        self._nonce_size = mode.nonce_size
        self._prefix = secrets.token_bytes(mode.nonce_size - COUNTER_SIZE)
        self._used = 0
        self._session_id = session_id

    def seal(self, parts: Sequence[Blob]) -> list[Blob]:
        """Encrypt a chain: its transform header and its ciphertext.

        Raises ConnectionLost when the key has sealed all it may: the next session has a new one.
        """
        if self._used == NONCES:
            raise ConnectionLost("this session's key has no nonce left")
        nonce = self._prefix + self._used.to_bytes(COUNTER_SIZE, "little")
        self._used += 1
        # One buffer for plaintext, ciphertext and tag.  A second one costs more than the cipher:
        # 1 MiB takes 115 µs so, and 800 with fresh memory to write to.
        both = memoryview(bytearray().join((*parts, bytes(TAG_SIZE))))
        size = len(both) - TAG_SIZE
        header = bytes(
            TransformHeader(
                nonce=nonce.ljust(16, b"\0"),
                original_message_size=size,
                session_id=self._session_id,
            )
        )
        authenticated = header[AUTHENTICATED_FROM:]
        self._seal.encrypt_into(nonce, both[:size], authenticated, both)
        return [b"".join((TRANSFORM_ID, both[size:], authenticated)), both[:size]]

    def open(self, view: memoryview) -> memoryview:
        """Decrypt a whole frame; the chain in it, in memory of its own.

        Raises Tampered for whatever the server with this session's key would not have sent.
        """
        if len(view) < TransformHeader.FIXED + HEADER_SIZE:
            raise Tampered(f"a sealed frame of only {len(view)} bytes")
        header = TransformHeader.parse(view, 0)
        size = len(view) - TransformHeader.FIXED
        claims = (header.protocol_id, header.flags, header.original_message_size)
        if claims != (TRANSFORM_ID, ENCRYPTED, size) or header.session_id != self._session_id:
            raise Tampered(
                f"a sealed frame of {size} bytes for session {self._session_id:#x} claims "
                f"{header.original_message_size} bytes, flags {header.flags:#x}, "
                f"session {header.session_id:#x}"
            )
        both = memoryview(bytearray().join((view[TransformHeader.FIXED :], header.signature)))
        nonce = header.nonce[: self._nonce_size]
        try:
            self._open.decrypt_into(nonce, both, view[AUTHENTICATED_FROM:-size], both[:size])
        except InvalidTag:
            raise Tampered("the seal of a frame is broken") from None
        return both[:size]
