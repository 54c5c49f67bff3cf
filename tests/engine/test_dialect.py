"""What we offer, and which answers we take: everything a forger could try is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smbfs.engine.dialect import (
    CIPHERS,
    DIALECTS_FOR,
    NAMES,
    SMALL,
    SMB1_PROBE,
    TRANSACT,
    Capabilities,
    Policy,
    accepts_smb1,
    check_validation,
    choose,
    looks_like_smb1,
    lower,
    offer,
    validation,
)
from smbfs.errors import Refused, StatusError, Tampered
from smbfs.wire.codec import WireError
from smbfs.wire.constants import Cipher, ContextType, SigningAlgorithm
from smbfs.wire.contexts import (
    POSIX_GUID,
    EncryptionCapabilities,
    PreauthCapabilities,
    SigningCapabilities,
    negotiate_contexts,
)
from smbfs.wire.fsctl import ValidateNegotiateInfoRequest, ValidateNegotiateInfoResponse
from smbfs.wire.messages import NegotiateRequest, dialects, pack_dialects
from smbfs.wire.status import Status
from tests.engine.negotiation import (
    ALL_BITS,
    GCM,
    GMAC,
    GUID,
    POSIX,
    PREAUTH,
    SALT,
    USUAL,
    Contexts,
    answer,
    chosen,
    of,
    refusal,
)


def offered_contexts(request: NegotiateRequest) -> dict[int, memoryview]:
    return dict(negotiate_contexts(memoryview(request.contexts)))


# The offer


def test_vers_table_names_dialects_we_know() -> None:
    assert {d for every in DIALECTS_FOR.values() for d in every} == set(NAMES)
    assert DIALECTS_FOR["default"][0] == 0x210
    assert DIALECTS_FOR["3.02"] == DIALECTS_FOR["3.0.2"]
    assert DIALECTS_FOR["3.11"] == DIALECTS_FOR["3.1.1"] == (0x311,)


def test_the_usual_offer() -> None:
    policy = of("default")
    request = offer(policy, "nas.Örtlich", SALT)
    assert dialects(request) == [0x210, 0x300, 0x302, 0x311]
    assert request.security_mode == 3
    assert request.capabilities == 0x66  # leasing, large MTU, directory leasing, encryption
    assert request.client_guid == b"c" * 16
    contexts = offered_contexts(request)
    assert request.negotiate_context_count == len(contexts) == 5
    preauth = PreauthCapabilities.parse(contexts[ContextType.PREAUTH_INTEGRITY_CAPABILITIES], 0)
    assert (bytes(preauth.hash_algorithms), bytes(preauth.salt)) == (b"\1\0", SALT)
    ciphers = EncryptionCapabilities.parse(contexts[ContextType.ENCRYPTION_CAPABILITIES], 0)
    assert bytes(ciphers.ciphers) == bytes([2, 0, 4, 0, 1, 0, 3, 0])
    signing = SigningCapabilities.parse(contexts[ContextType.SIGNING_CAPABILITIES], 0)
    assert bytes(signing.signing_algorithms) == bytes([2, 0, 1, 0, 0, 0])
    name = contexts[ContextType.NETNAME_NEGOTIATE_CONTEXT_ID]
    assert bytes(name).decode("utf-16-le") == "nas.Örtlich"
    assert bytes(contexts[ContextType.POSIX_EXTENSIONS]) == POSIX_GUID
    whole = memoryview(bytes(64) + bytes(request))
    assert NegotiateRequest.parse(whole) == request


def test_what_is_switched_off_is_not_offered() -> None:
    request = offer(of("3.1.1", sign=False, posix=False, ciphers=()), "server", SALT)
    assert request.security_mode == 1
    assert request.capabilities == 0x26
    assert set(offered_contexts(request)) == {1, 5, 8}


@pytest.mark.parametrize(
    ("vers", "guid", "bits"),
    [("3.0", b"c" * 16, 0x66), ("2.1", b"c" * 16, 0), ("2.0", bytes(16), 0)],
)
def test_below_3_1_1_there_are_no_contexts(vers: str, guid: bytes, bits: int) -> None:
    request = offer(of(vers), "server", SALT)
    assert (request.negotiate_context_count, bytes(request.contexts)) == (0, b"")
    assert (request.client_guid, request.capabilities) == (guid, bits)


def test_each_mount_has_a_guid_of_its_own() -> None:
    assert Policy().client_guid != Policy().client_guid


def test_lower_leaves_3_1_1_out() -> None:
    policy = of("default")
    below = lower(policy)
    assert below == replace(policy, dialects=(0x210, 0x300, 0x302))
    assert below is not None
    assert lower(below) is None
    assert lower(of("3.1.1")) is None


# The choice


def test_the_usual_choice() -> None:
    assert chosen(of("default"), answer()) == Capabilities(
        dialect=0x311,
        server_guid=b"s" * 16,
        security_mode=1,
        capabilities=ALL_BITS,
        max_transact=TRANSACT,
        max_read=1 << 20,
        max_write=1 << 20,
        cipher=Cipher.AES_128_GCM,
        signing_algorithm=SigningAlgorithm.AES_GMAC,
        signing_required=True,
        posix=True,
        large_mtu=True,
        leasing=True,
        directory_leasing=True,
        system_time=7,
        security_blob=b"token",
    )


def test_sizes_are_the_smaller_of_ours_and_theirs() -> None:
    sizes: dict[str, Any] = {
        "max_transact_size": 65537,
        "max_read_size": 70_000,
        "max_write_size": 1 << 24,
    }
    found = chosen(of("default", rsize=1 << 23, wsize=1 << 22), answer(**sizes))
    assert (found.max_transact, found.max_read, found.max_write) == (65537, 70_000, 1 << 22)


@pytest.mark.parametrize("dialect", [0x210, 0x300, 0x302])
def test_without_large_mtu_everything_is_64_kib(dialect: int) -> None:
    found = chosen(of("default"), answer(dialect, (), capabilities=ALL_BITS & ~4))
    assert not found.large_mtu
    assert (found.max_transact, found.max_read, found.max_write) == (SMALL, SMALL, SMALL)


def test_2_0_2_has_no_capabilities_whatever_it_says() -> None:
    found = chosen(of("2.0"), answer(0x202, ()))
    assert not any([found.large_mtu, found.leasing, found.directory_leasing, found.posix])
    assert found.cipher == Cipher.NONE
    assert found.signing_algorithm == SigningAlgorithm.HMAC_SHA256


def test_2_1_has_leases_but_not_of_directories() -> None:
    found = chosen(of("2.1"), answer(0x210, ()))
    assert found.leasing
    assert not found.directory_leasing


def test_below_3_1_1_contexts_are_rubbish() -> None:
    found = chosen(of("default"), answer(0x302, (), negotiate_context_count=900, junk=b"\xff" * 9))
    assert found.cipher == Cipher.AES_128_CCM
    assert found.signing_algorithm == SigningAlgorithm.AES_CMAC
    assert not found.posix


def test_3_0_encrypts_only_if_both_can() -> None:
    assert chosen(of("3.0"), answer(0x300, (), capabilities=0x3F)).cipher == Cipher.NONE
    only_gcm = of("3.0", ciphers=(Cipher.AES_128_GCM,))
    assert chosen(only_gcm, answer(0x300, ())).cipher == Cipher.NONE


def test_in_3_1_1_the_context_decides_about_encryption() -> None:
    assert chosen(of("3"), answer(contexts=(PREAUTH,))).cipher == Cipher.NONE
    assert chosen(of("3", seal=True), answer(capabilities=0)).cipher == Cipher.AES_128_GCM
    none = (2, bytes(EncryptionCapabilities(ciphers=b"\0\0")))
    assert chosen(of("3"), answer(contexts=(PREAUTH, none))).cipher == Cipher.NONE


def test_3_1_1_without_signing_context_signs_with_cmac() -> None:
    found = chosen(of("3"), answer(contexts=(PREAUTH, GCM)))
    assert found.signing_algorithm == SigningAlgorithm.AES_CMAC


def test_padding_and_unknown_contexts_do_not_matter() -> None:
    odd = (0x7777, b"odd")
    assert chosen(of("3"), answer(contexts=(*USUAL, odd), junk=bytes(5))).posix


def test_signing_is_required_by_policy_or_server() -> None:
    assert chosen(of("3"), answer()).signing_required
    assert not chosen(of("3", sign=False), answer()).signing_required
    assert chosen(of("3", sign=False), answer(security_mode=3)).signing_required


@pytest.mark.parametrize("data", [b"", b"other guid 16 by", POSIX_GUID[:15]])
def test_posix_needs_the_guid(data: bytes) -> None:
    assert not chosen(of("3"), answer(contexts=(PREAUTH, (0x100, data)))).posix


def test_posix_may_be_one_of_several_and_must_be_wanted() -> None:
    several = answer(contexts=(PREAUTH, (0x100, bytes(16) + POSIX_GUID)))
    assert chosen(of("3"), several).posix
    assert not chosen(of("3", posix=False), several).posix


# The refusals


@pytest.mark.parametrize(
    ("vers", "dialect", "name"),
    [
        ("3", 0x210, "2.1"),
        ("default", 0x202, "2.0.2"),
        ("default", 0x2FF, "0x02ff"),
        ("3.0", 0x311, "3.1.1"),
        ("default", 0, "0x0000"),
    ],
)
def test_a_dialect_must_be_offered(vers: str, dialect: int, name: str) -> None:
    assert f"chose SMB {name}, which was not offered" in refusal(of(vers), answer(dialect))


@pytest.mark.parametrize("size", ["max_transact_size", "max_read_size", "max_write_size"])
def test_sizes_of_nothing(size: str) -> None:
    nothing: dict[str, Any] = {size: 0}
    assert "0 bytes" in refusal(of("3"), answer(**nothing))


def test_a_server_that_cannot_sign() -> None:
    assert "cannot sign" in refusal(of("3"), answer(security_mode=0))
    assert chosen(of("3", sign=False), answer(security_mode=0)).dialect == 0x311


@pytest.mark.parametrize(
    ("dialect", "contexts", "why"),
    [(0x311, (PREAUTH,), "no cipher in common"), (0x210, (), "encryption begins at 3.0")],
)
def test_sealing_needs_a_cipher(dialect: int, contexts: Contexts, why: str) -> None:
    assert why in refusal(of("default", seal=True), answer(dialect, contexts))


TWO_HASHES = (1, bytes(PreauthCapabilities(hash_algorithms=b"\1\0\1\0", salt=b"")))
OTHER_HASH = (1, bytes(PreauthCapabilities(hash_algorithms=b"\2\0", salt=b"")))
TWO_CIPHERS = (2, bytes(EncryptionCapabilities(ciphers=b"\2\0\1\0")))
NO_CIPHER = (2, bytes(EncryptionCapabilities(ciphers=b"")))
ODD_CIPHER = (2, bytes(EncryptionCapabilities(ciphers=b"\5\0")))
ODD_SIGNER = (8, bytes(SigningCapabilities(signing_algorithms=b"\3\0")))


@pytest.mark.parametrize(
    ("contexts", "why"),
    [
        ((), "without protecting"),
        ((GCM, GMAC), "without protecting"),
        ((PREAUTH, GCM, PREAUTH), "twice"),
        ((PREAUTH, POSIX, POSIX), "twice"),
        ((TWO_HASHES,), "one hash, not 2"),
        ((OTHER_HASH,), "hash that was not offered"),
        ((PREAUTH, TWO_CIPHERS), "one cipher, not 2"),
        ((PREAUTH, NO_CIPHER), "one cipher, not 0"),
        ((PREAUTH, ODD_CIPHER), "cipher 5, which was not offered"),
        ((PREAUTH, ODD_SIGNER), "signing algorithm 3, which was not offered"),
    ],
)
def test_contexts_that_lie(contexts: Contexts, why: str) -> None:
    assert why in refusal(of("3"), answer(contexts=contexts))


def test_a_cipher_outside_the_policy() -> None:
    only_256 = of("3", ciphers=(Cipher.AES_256_GCM,))
    assert "cipher 2, which was not offered" in refusal(only_256, answer())


@pytest.mark.parametrize(
    "view",
    [
        answer(contexts=((1, b"\1\0\40\0\1\0short salt"),)),
        answer(contexts=((1, b""),)),
        answer(negotiate_context_count=5),
        answer()[:100],
        memoryview(b"\xfeSMB"),
        memoryview(b"nonsense" * 20),
    ],
)
def test_bytes_that_are_no_answer(view: memoryview) -> None:
    with pytest.raises(WireError):
        chosen(of("3"), view)


@given(st.binary(max_size=200), st.integers(0, 280))
def test_nothing_else_is_raised(rubbish: bytes, at: int) -> None:
    whole = bytes(answer())
    mutated = whole[:at] + rubbish + whole[at + len(rubbish) :]
    try:
        found = chosen(of("default"), memoryview(mutated))
    except (WireError, Refused, StatusError):
        return
    assert found.cipher in (0, *CIPHERS)
    assert 0 < found.max_read <= 1 << 20


# Statuses and SMB1


def test_not_supported_is_worth_a_lower_question_or_refused() -> None:
    view = answer(status=Status.NOT_SUPPORTED)
    with pytest.raises(StatusError, match="NEGOTIATE: NOT_SUPPORTED"):
        chosen(of("default"), view)
    assert "none of the SMB versions we ask for (3.1.1)" in refusal(of("3.1.1"), view)
    with pytest.raises(StatusError, match="ACCESS_DENIED"):
        chosen(of("3.1.1"), answer(status=Status.ACCESS_DENIED))


# Samba 4.17 answers the probe so, with ``server max protocol = NT1`` and without SMB1.
AGREES = b"\xffSMB\x72" + bytes(4) + b"\x88\x53\xc8" + bytes(20) + b"\x11\0\0\3\x32" + bytes(40)
DECLINES = b"\xffSMB\x72" + bytes(4) + b"\x88\x13\xc0" + bytes(20) + b"\1\xff\xff\0\0"


def test_an_smb1_answer_is_refused_with_a_sentence() -> None:
    assert "speaks only SMB1, which is obsolete and unsafe" in refusal(
        of("default"), memoryview(AGREES)
    )


def test_the_probe_tells_who_agrees_to_smb1() -> None:
    assert len(SMB1_PROBE) == 47
    assert [looks_like_smb1(memoryview(v)) for v in (SMB1_PROBE, AGREES, b"")] == [
        True,
        True,
        False,
    ]
    assert accepts_smb1(memoryview(AGREES))
    refused = AGREES[:5] + b"\x22" + AGREES[6:]
    for view in (DECLINES, refused, AGREES[:34], AGREES[:32] + bytes(9), bytes(answer()), b""):
        assert not accepts_smb1(memoryview(view))


# Validation


@pytest.mark.parametrize("dialect", [0x210, 0x300, 0x302])
def test_below_3_1_1_the_negotiation_is_validated(dialect: int) -> None:
    policy = of("default")
    below = lower(policy)
    assert below is not None
    request = offer(below, "server", SALT)
    found = choose(below, request, answer(dialect, ()))
    body = validation(policy, request, found)
    assert body == ValidateNegotiateInfoRequest(
        capabilities=request.capabilities,
        guid=b"c" * 16,
        security_mode=3,
        dialects=pack_dialects(policy.dialects),  # those from before `lower`
    )


@pytest.mark.parametrize(("vers", "dialect"), [("default", 0x311), ("2.1", 0x210), ("2.0", 0x202)])
def test_otherwise_there_is_nothing_to_validate(vers: str, dialect: int) -> None:
    policy = of(vers)
    request = offer(policy, "server", SALT)
    contexts = USUAL if dialect == 0x311 else ()
    found = choose(policy, request, answer(dialect, contexts))
    assert validation(policy, request, found) is None


@pytest.mark.parametrize("field", ["", "capabilities", "guid", "security_mode", "dialect"])
def test_the_validated_answer_must_be_the_one_heard(field: str) -> None:
    found = chosen(of("3"), answer(0x302, ()))
    said = ValidateNegotiateInfoResponse(
        capabilities=found.capabilities,
        guid=found.server_guid,
        security_mode=found.security_mode,
        dialect=found.dialect,
    )
    if not field:
        check_validation(found, said)
        return
    setattr(said, field, GUID if field == "guid" else 0x42)
    with pytest.raises(Tampered, match="another negotiation"):
        check_validation(found, said)
