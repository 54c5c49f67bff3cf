"""Proving who we are: token in, token out, a session key at the end.

Knows SPNEGO and NTLM through pyspnego, and the anonymous login, which pyspnego has not, by hand.
Knows nothing of messages or connections: `smbfs.engine.session` carries the tokens, and runs
``step`` in a thread where a mechanism may ask others before it answers.

Easily broken: a token must never be logged, and pyspnego logs tokens.  From an NTLM answer a
password can be guessed offline, at leisure.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, Protocol

import spnego
from spnego.exceptions import BadMechanismError, BadMICError, InvalidTokenError, NegotiateOptions

from smbfs.errors import Refused
from smbfs.wire.codec import U16, U32, Bytes8, Bytes16, Structure, buffer, derived
from smbfs.wire.units import text

logging.getLogger("spnego").setLevel(logging.INFO)  # below that it prints the tokens

NTLMSSP = b"NTLMSSP\0"
CHALLENGE = NTLMSSP + b"\2\0\0\0"
AUTHENTICATE = NTLMSSP + b"\3\0\0\0"
NT_RESPONSE = 20  # where AUTHENTICATE_MESSAGE has NtChallengeResponseFields
NTLM_V1_SIZE = 24  # of that response; an NTLMv2 one is longer
TARGET_DOMAIN = 2  # MsvAvNbDomainName, [MS-NLMP] 2.2.2.1

SENTENCES: dict[type[Exception], str] = {  # what an error of pyspnego means to the user
    BadMechanismError: "offers no login by password (NTLM)",
    BadMICError: "could not prove that it knows the password, or somebody altered the login",
    InvalidTokenError: "refused the login",
}


class Secret:
    """A string that does not show itself."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The string itself; call it where it is used and nowhere earlier."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({len(self._text)} characters)"

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


@dataclass(frozen=True, slots=True)
class Login:
    """Who wants in, and how: ``kind`` is a row of `MECHANISMS`.

    With ``domain_auto`` an empty domain becomes the one the server says it belongs to.
    ``may_be_guest`` says that a session without an identity, hence without keys, will do.
    """

    username: str
    password: Secret
    domain: str = ""
    kind: str = "ntlmssp"
    domain_auto: bool = False
    may_be_guest: bool = False


class Authenticator(Protocol):
    """One login, from the first token to the last; each is for one session only."""

    @property
    def may_block(self) -> bool:
        """Whether `step` asks others, a KDC say, and has to run in a thread."""

    @property
    def complete(self) -> bool:
        """Whether the server has nothing left to prove."""

    @property
    def session_key(self) -> bytes:
        """What both sides now share; empty for a login without an identity."""

    @property
    def is_anonymous(self) -> bool:
        """Whether this login shows no identity, so that there can be no keys."""

    def step(self, token: bytes | None) -> bytes | None:
        """Take the server's token and give ours; may block, raises Refused.

        The first token is the NEGOTIATE response's, or None; the last is the one that came with
        success, which may prove that the server knows the password too.
        """


class Password(spnego.Password):
    """A password for NTLM and nothing else, or pyspnego would first ask a KDC about it."""

    @property
    def supported_protocols(self) -> list[str]:
        return ["ntlm"]


class NtlmAuth:
    """NTLMv2 with a message integrity code, inside SPNEGO ([MS-NLMP], RFC 4178)."""

    is_anonymous = False
    may_block = False  # it only computes, in some milliseconds

    def __init__(self, login: Login, hostname: str) -> None:
        if not login.username:
            raise Refused("a login by password needs a user name; without one there is sec=none")
        self._login = login
        self._hostname = hostname
        self._asks_domain = login.domain_auto and not login.domain
        self._hint: bytes | None = None
        self._context = self._begin(login.domain)

    def _begin(self, domain: str) -> spnego.ContextProxy:
        name = f"{domain}\\{self._login.username}" if domain else self._login.username
        return spnego.client(
            Password(name, self._login.password.reveal()),
            hostname=self._hostname,
            service="cifs",
            protocol="negotiate",
            options=NegotiateOptions.session_key | NegotiateOptions.use_negotiate,
        )

    @property
    def complete(self) -> bool:
        return self._context.complete

    @property
    def session_key(self) -> bytes:
        return self._context.session_key

    def step(self, token: bytes | None) -> bytes | None:
        try:
            if self._asks_domain and token and CHALLENGE in token:
                self._asks_domain = False
                self._context = self._begin(domain_of(token))
                self._context.step(self._hint)  # the first token again, the same to the byte
            elif self._asks_domain:
                self._hint = token or None
            ours = self._context.step(token or None)
        except Exception as error:  # its parsers raise whatever they stumble over
            sentence = SENTENCES.get(type(error), "sent a login token that makes no sense")
            raise Refused(f"{self._hostname} {sentence}") from error
        if ours is not None and AUTHENTICATE in ours:
            self._check_version(ours[ours.index(AUTHENTICATE) :])
        return ours

    def _check_version(self, message: bytes) -> None:
        """Refuse to send NTLMv1, which the environment (LM_COMPAT_LEVEL) can talk pyspnego into."""
        (size,) = struct.unpack_from("<H", message, NT_RESPONSE)
        if size <= NTLM_V1_SIZE:
            raise Refused("the environment variable LM_COMPAT_LEVEL asks for NTLMv1: unset it")


class Challenge(Structure, at=0):
    """CHALLENGE_MESSAGE as far as its target information ([MS-NLMP] 2.2.1.2)."""

    signature: Bytes8
    message_type: U32
    target_name: Bytes8
    flags: U32
    server_challenge_and_reserved: Bytes16
    target_info_length: U16 = derived()
    target_info_maximum: U16 = 0
    target_info_offset: U32 = derived()
    target_info: memoryview = buffer("target_info_offset", "target_info_length")


def domain_of(token: bytes) -> str:
    """The NetBIOS domain that the NTLM challenge in ``token`` names, or "".

    Raises WireError for a challenge that breaks off.
    """
    info = Challenge.parse(memoryview(token)[token.index(CHALLENGE) :]).target_info
    while len(info) >= 4:
        kind, size = struct.unpack_from("<HH", info)
        if kind == TARGET_DOMAIN:
            return text(info[4 : 4 + size])
        info = info[4 + size :]
    return ""


class AnonymousAuth:
    """The login without an identity ([MS-NLMP] 3.2.5.1.2): nobody's name and an empty answer."""

    is_anonymous = True
    may_block = False
    session_key = b""

    def __init__(self, login: Login, hostname: str) -> None:
        self._hostname = hostname
        self._sent = 0

    @property
    def complete(self) -> bool:
        return self._sent == len(ANONYMOUS_TOKENS)

    def step(self, token: bytes | None) -> bytes | None:
        if self.complete:
            return None
        if self._sent and CHALLENGE not in (token or b""):
            raise Refused(f"{self._hostname} {SENTENCES[BadMechanismError]}")
        self._sent += 1
        return ANONYMOUS_TOKENS[self._sent - 1]


def _der(tag: int, *contents: bytes) -> bytes:
    body = b"".join(contents)
    return bytes((tag, len(body))) + body  # the short form: nothing here has 128 bytes


def _anonymous_tokens() -> tuple[bytes, bytes]:
    """NegTokenInit with NEGOTIATE_MESSAGE, NegTokenResp with AUTHENTICATE_MESSAGE.

    Neither depends on the server: without a key there is nothing to answer its challenge with.
    """
    # UNICODE, REQUEST_TARGET, NTLM, ALWAYS_SIGN, EXTENDED_SESSIONSECURITY, 128, 56
    flags, anonymous = 0xA0088205, 0x00000800
    spnego_oid, ntlm_oid = (
        _der(0x06, bytes.fromhex(oid)) for oid in ("2b0601050502", "2b06010401823702020a")
    )
    negotiate = NTLMSSP + struct.pack("<II16x", 1, flags)
    payload = 64
    lm_response = struct.pack("<HHI", 1, 1, payload)  # Z(1)
    empty = struct.pack("<HHI", 0, 0, payload + 1)
    fields = lm_response + 5 * empty + struct.pack("<I", flags | anonymous)
    authenticate = AUTHENTICATE + fields + b"\0"
    mechanisms = _der(0xA0, _der(0x30, ntlm_oid))
    first = _der(0x30, mechanisms, _der(0xA2, _der(0x04, negotiate)))
    second = _der(0x30, _der(0xA2, _der(0x04, authenticate)))
    return _der(0x60, spnego_oid, _der(0xA0, first)), _der(0xA1, second)


ANONYMOUS_TOKENS = _anonymous_tokens()


def _kerberos(login: Login, hostname: str) -> NoReturn:
    raise Refused("Kerberos is not built in yet: use sec=ntlmssp with a password")


MECHANISMS: dict[str, Callable[[Login, str], Authenticator]] = {  # by the value of sec=
    "none": AnonymousAuth,
    "ntlmssp": NtlmAuth,
    "krb5": _kerberos,
}


def authenticator_for(login: Login, hostname: str) -> Authenticator:
    """Begin one login at the server the user calls ``hostname``; raises Refused."""
    return MECHANISMS[login.kind](login, hostname)
