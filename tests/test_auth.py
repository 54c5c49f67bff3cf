from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import pytest
import spnego
from hypothesis import given, settings
from hypothesis import strategies as st
from spnego._ntlm_raw.messages import Authenticate, AvFlags, AvId, NTClientChallengeV2
from spnego._spnego import InitialContextToken, NegState, NegTokenInit, NegTokenResp, unpack_token
from spnego.exceptions import InvalidTokenError, NegotiateOptions, SpnegoError

from smbfs.auth import (
    MECHANISMS,
    AnonymousAuth,
    Authenticator,
    Login,
    NtlmAuth,
    Secret,
    authenticator_for,
    domain_of,
)
from smbfs.errors import Refused
from smbfs.wire.codec import WireError

HOST = "nas.example"
PASSWORD = "hunter2 hunter2"
LOGIN = Login("jane", Secret(PASSWORD))
NTLM = "1.3.6.1.4.1.311.2.2.10"


@pytest.fixture
def acceptor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> spnego.ContextProxy:
    """A server that knows jane, without a domain and in two of them."""
    users = tmp_path / "users"
    users.write_text("".join(f"{d}:jane:{PASSWORD}\n" for d in ("", "OFFICE", "WORKSTATION")))
    monkeypatch.setenv("NTLM_USER_FILE", str(users))
    return spnego.server(
        hostname=HOST,
        service="cifs",
        options=NegotiateOptions.session_key | NegotiateOptions.use_negotiate,
    )


def log_in(client: Authenticator, acceptor: spnego.ContextProxy) -> list[bytes]:
    """Carry tokens to and fro as a session does; what the client sent."""
    sent: list[bytes] = []
    answer = acceptor.step()  # the hint in a NEGOTIATE response
    while not acceptor.complete:
        token = client.step(answer)
        assert token is not None
        sent.append(token)
        answer = acceptor.step(token)
    was_complete = client.complete
    assert client.step(answer) is None
    assert (was_complete, client.complete) == (False, True)
    return sent


def challenged(client: Authenticator, acceptor: spnego.ContextProxy) -> bytes:
    """The server's challenge, which the client has not seen yet."""
    token = acceptor.step(client.step(None))
    assert token is not None
    return token


def authenticate(token: bytes) -> Authenticate:
    response = unpack_token(token)
    assert isinstance(response, NegTokenResp)
    assert response.response_token is not None
    return Authenticate.unpack(response.response_token)


# --- secrets


def test_a_secret_shows_only_its_length() -> None:
    secret = Secret(PASSWORD)
    assert secret.reveal() == PASSWORD
    for shown in (repr(secret), str(secret), f"{secret}", repr(LOGIN), str(LOGIN)):
        assert "hunter2" not in shown
        assert "Secret(15 characters)" in shown


def test_secrets_compare_by_what_they_hide() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a")
    assert not Secret("")


# --- NTLM


def test_both_sides_have_one_key_at_the_end(acceptor: spnego.ContextProxy) -> None:
    client = authenticator_for(LOGIN, HOST)
    log_in(client, acceptor)
    assert client.session_key == acceptor.session_key
    assert len(client.session_key) == 16
    assert not client.is_anonymous
    assert acceptor.client_principal == "jane"


def test_each_login_has_a_key_of_its_own(
    acceptor: spnego.ContextProxy,
) -> None:
    one, two = NtlmAuth(LOGIN, HOST), NtlmAuth(LOGIN, HOST)
    log_in(one, acceptor)
    log_in(two, acceptor.new_context())
    assert one.session_key != two.session_key


def test_the_answer_is_ntlmv2_with_a_mic_and_names_the_service(
    acceptor: spnego.ContextProxy,
) -> None:
    first, last = log_in(NtlmAuth(LOGIN, HOST), acceptor)
    offered = unpack_token(first)
    assert isinstance(offered, NegTokenInit)
    assert offered.mech_types == [NTLM]
    message = authenticate(last)
    assert message.mic not in (None, bytes(16))
    assert message.nt_challenge_response is not None
    target = NTClientChallengeV2.unpack(message.nt_challenge_response[16:]).av_pairs
    assert target[AvId.flags] & AvFlags.mic
    assert target[AvId.target_name] == f"cifs/{HOST}"
    assert unpack_token(last).mech_list_mic is not None


def test_it_starts_without_a_hint_too(acceptor: spnego.ContextProxy) -> None:
    for nothing in (None, b""):
        assert NtlmAuth(LOGIN, HOST).step(nothing)


def test_a_wrong_password_is_rejected(acceptor: spnego.ContextProxy) -> None:
    client = NtlmAuth(Login("jane", Secret("guess")), HOST)
    token = client.step(challenged(client, acceptor))
    with pytest.raises(InvalidTokenError, match="Invalid NTLM response"):
        acceptor.step(token)


def test_an_altered_answer_is_noticed(acceptor: spnego.ContextProxy) -> None:
    client = NtlmAuth(LOGIN, HOST)
    token = client.step(challenged(client, acceptor))
    assert token is not None
    mic = authenticate(token).mic
    assert mic is not None
    with pytest.raises(SpnegoError, match="MIC"):
        acceptor.step(token.replace(mic, bytes(16)))


@pytest.mark.parametrize("domain", ["", "OFFICE"])
def test_the_domain_is_the_one_given(acceptor: spnego.ContextProxy, domain: str) -> None:
    login = Login("jane", Secret(PASSWORD), domain=domain, domain_auto=bool(domain))
    _, last = log_in(NtlmAuth(login, HOST), acceptor)
    assert (authenticate(last).domain_name or "") == domain


@pytest.mark.parametrize("hint", [True, False])
def test_domainauto_takes_the_domain_of_the_server(
    acceptor: spnego.ContextProxy, hint: bool
) -> None:
    client = NtlmAuth(Login("jane", Secret(PASSWORD), domain_auto=True), HOST)
    first = client.step(acceptor.step() if hint else None)
    last = client.step(acceptor.step(first))
    assert last is not None
    assert authenticate(last).domain_name == "WORKSTATION"
    assert client.step(acceptor.step(last)) is None
    assert client.session_key == acceptor.session_key
    assert acceptor.client_principal == "WORKSTATION\\jane"


def test_the_domain_in_a_challenge(acceptor: spnego.ContextProxy) -> None:
    challenge = challenged(NtlmAuth(LOGIN, HOST), acceptor)
    assert domain_of(challenge) == "WORKSTATION"
    name = "WORKSTATION".encode("utf-16-le")
    tail = bytes((2, 0, len(name), 0)) + name
    assert domain_of(challenge.replace(tail, b"\x09" + tail[1:])) == ""
    with pytest.raises(WireError):
        domain_of(challenge[: challenge.index(name)])


# --- what can go wrong


def refusal(client: Authenticator, token: bytes) -> str:
    """Why a token is refused; neither the reason nor its cause may hold the password."""
    with pytest.raises(Refused) as caught:
        client.step(token)
    assert "hunter2" not in f"{caught.value!r} {caught.value.__cause__!r}"
    return str(caught.value)


def test_a_server_without_ntlm() -> None:
    hint = NegTokenInit(["1.2.840.113554.1.2.2"]).pack()
    assert refusal(NtlmAuth(LOGIN, HOST), hint) == f"{HOST} offers no login by password (NTLM)"


def test_a_server_that_says_no(acceptor: spnego.ContextProxy) -> None:
    client = NtlmAuth(LOGIN, HOST)
    client.step(None)
    assert refusal(client, NegTokenResp(NegState.reject).pack()) == f"{HOST} refused the login"


def test_a_server_that_does_not_know_the_password(acceptor: spnego.ContextProxy) -> None:
    client = NtlmAuth(LOGIN, HOST)
    client.step(challenged(client, acceptor))
    final = NegTokenResp(NegState.accept_complete, mech_list_mic=b"\1\0\0\0".ljust(16, b"?"))
    assert "could not prove that it knows the password" in refusal(client, final.pack())


@settings(max_examples=60)
@given(data=st.data())
def test_nonsense_is_refused_and_nothing_worse(data: st.DataObject) -> None:
    client = NtlmAuth(data.draw(st.sampled_from([LOGIN, Login("j", Secret(""), "", "", True)])), "")
    token = data.draw(st.binary(max_size=40))
    if data.draw(st.booleans()):
        client.step(None)
        at = data.draw(st.integers(0, len(RECORDED)))
        token = RECORDED[:at] + token + RECORDED[at + len(token) :]
    with contextlib.suppress(Refused):
        client.step(token)


RECORDED = NegTokenResp(  # the challenge of a published login, see vectors/smb3_crypto.txt
    NegState.accept_incomplete,
    NTLM,
    bytes.fromhex(
        "4e544c4d53535000020000000c000c003800000015828ae20d1d8ba31179d0080000000000000000"
        "50005000440000000a0092270000000f53005500540033003100310002000c005300550054003300"
        "3100310001000c0053005500540033003100310004000c0053005500540033003100310003000c00"
        "53005500540033003100310007000800a1a1f5adcbaed00100000000"
    ),
).pack()


def test_a_recorded_challenge_is_answered() -> None:
    client = NtlmAuth(Login("jane", Secret(PASSWORD), domain_auto=True), HOST)
    client.step(None)
    token = client.step(RECORDED)
    assert token is not None
    assert authenticate(token).domain_name == "SUT311"


def test_ntlmv1_is_never_sent(
    acceptor: spnego.ContextProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LM_COMPAT_LEVEL", "1")
    client = NtlmAuth(LOGIN, HOST)
    assert "NTLMv1" in refusal(client, challenged(client, acceptor))


def test_a_password_login_needs_a_name() -> None:
    with pytest.raises(Refused, match="user name"):
        authenticator_for(Login("", Secret(PASSWORD)), HOST)


def test_tokens_are_not_logged(
    acceptor: spnego.ContextProxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    log_in(NtlmAuth(LOGIN, HOST), acceptor)
    assert caplog.records == []


# --- the other kinds


def test_anonymous_says_nothing_of_itself() -> None:
    client = authenticator_for(Login("ignored", Secret("ignored"), kind="none"), HOST)
    assert isinstance(client, AnonymousAuth)
    first = client.step(b"a hint")
    assert first is not None
    offered = unpack_token(first)
    assert isinstance(offered, NegTokenInit)
    assert offered.mech_types == [NTLM]
    assert offered.pack() == first  # what we made by hand is the DER that others make
    was_complete = client.complete
    last = client.step(RECORDED)
    assert last is not None
    assert (was_complete, client.complete) == (False, True)
    assert unpack_token(last).pack() == last
    message = authenticate(last)
    assert message.flags & 0x800
    assert message.lm_challenge_response == b"\0"
    assert not message.nt_challenge_response
    assert not message.user_name
    assert not message.domain_name
    assert client.step(NegTokenResp(NegState.accept_complete).pack()) is None
    assert client.session_key == b""
    assert client.is_anonymous


def test_anonymous_outer_token_is_spnego() -> None:
    first = AnonymousAuth(LOGIN, HOST).step(None)
    assert first is not None
    wrapped = unpack_token(first, unwrap=True)
    assert isinstance(wrapped, InitialContextToken)
    assert wrapped.this_mech == "1.3.6.1.5.5.2"


@pytest.mark.parametrize("token", [None, b"", NegTokenResp(NegState.reject).pack()])
def test_anonymous_needs_a_challenge(token: bytes | None) -> None:
    client = AnonymousAuth(LOGIN, HOST)
    client.step(None)
    with pytest.raises(Refused, match="offers no login"):
        client.step(token)
    assert not client.complete


def test_kerberos_has_its_place() -> None:
    with pytest.raises(Refused, match="Kerberos is not built in yet: use sec=ntlmssp"):
        authenticator_for(Login("jane", Secret(""), kind="krb5"), HOST)
    assert set(MECHANISMS) == {"none", "ntlmssp", "krb5"}
