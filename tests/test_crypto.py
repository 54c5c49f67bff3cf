from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFHMAC, CounterLocation, Mode
from hypothesis import given
from hypothesis import strategies as st

from smbfs import crypto
from smbfs.crypto import (
    CmacSigner,
    GmacSigner,
    HmacSigner,
    Keys,
    Preauth,
    Sealer,
    Signer,
    derive_keys,
    kdf,
    signer_for,
)
from smbfs.errors import ConnectionLost, Tampered
from smbfs.wire.codec import Blob
from smbfs.wire.constants import Cipher, Dialect, SigningAlgorithm
from smbfs.wire.header import TransformHeader

VECTORS = {
    name: bytes.fromhex(value)
    for name, value in (
        line.split()
        for line in (Path(__file__).parent / "vectors/smb3_crypto.txt").read_text().splitlines()
        if not line.startswith("#")
    )
}
CIPHERS = [Cipher.AES_128_CCM, Cipher.AES_128_GCM, Cipher.AES_256_CCM, Cipher.AES_256_GCM]
SESSION = 0x100000000025
CHAIN: list[Blob] = [b"\xfeSMB".ljust(64, b"h"), b"body", memoryview(bytearray(b"payload" * 11))]


def unhex(text: str) -> bytes:
    return bytes.fromhex(text)


# --- keys


def test_the_preauth_chain_of_a_published_login() -> None:
    connection = Preauth()
    assert connection.digest == bytes(64)
    connection.update(VECTORS["negotiate_request"])
    connection.update(VECTORS["negotiate_response"])
    session = connection.copy()
    for name in ("setup_request_1", "setup_response_1", "setup_request_2"):
        message = VECTORS[name]
        session.update(message[:64], b"", memoryview(message)[64:])
    assert connection.digest == VECTORS["preauth_after_negotiate"]
    assert session.digest == VECTORS["preauth"]


def test_published_keys_of_3_0() -> None:
    for dialect in (Dialect.SMB_3_0, Dialect.SMB_3_0_2):
        assert derive_keys(
            dialect, unhex("7CD451825D0450D235424E44BA6E78CC"), b"", Cipher.AES_128_CCM
        ) == Keys(
            signing=unhex("0B7E9C5CAC36C0F6EA9AB275298CEDCE"),
            c2s=unhex("FAD27796665B313EBB578F388632B4F7"),
            s2c=unhex("B0F0427F7CEB416D1D9DCC0CD4F99447"),
            application=unhex("BB23A4575AA26C721AF525AF15A87B4F"),
        )


@pytest.mark.parametrize("cipher", [Cipher.NONE, Cipher.AES_128_GCM])
def test_published_keys_of_3_1_1(cipher: int) -> None:
    session_key = unhex("270E1BA896585EEB7AF3472D3B4C75A7")
    keys = derive_keys(Dialect.SMB_3_1_1, session_key, VECTORS["preauth"], cipher)
    assert keys == Keys(
        signing=unhex("73FE7A9A77BEF0BDE49C650D8CCB5F76"),
        c2s=unhex("629BCBC54422A0F572B97F45989B6073"),
        s2c=unhex("E2AF0DCEFAC68DA71A0DFBD0D1350D74"),
        application=unhex("6D7AD7954E9EC61E907B4D473DC178FF"),
    )


def test_aes_256_uses_the_full_key_and_signing_does_not() -> None:
    full = bytes(range(32))
    keys = derive_keys(Dialect.SMB_3_1_1, full, VECTORS["preauth"], Cipher.AES_256_GCM)
    same = derive_keys(Dialect.SMB_3_1_1, full[:16], VECTORS["preauth"], Cipher.AES_128_GCM)
    assert (keys.signing, keys.application) == (same.signing, same.application)
    assert keys.c2s == kdf(full, b"SMBC2SCipherKey\0", VECTORS["preauth"], 256)
    assert keys.s2c == kdf(full, b"SMBS2CCipherKey\0", VECTORS["preauth"], 256)
    assert len(keys.c2s) == len(keys.s2c) == 32


def test_before_3_0_the_session_key_signs_and_nothing_seals() -> None:
    long = bytes(range(32))
    assert derive_keys(Dialect.SMB_2_1, long, b"", 0) == Keys(long[:16], b"", b"", long[:16])
    short = derive_keys(Dialect.SMB_2_0_2, b"abc", b"", 0)
    assert short.signing == b"abc".ljust(16, b"\0")


@given(
    key=st.binary(min_size=1, max_size=64),
    label=st.binary(min_size=1, max_size=20),
    context=st.binary(min_size=1, max_size=70),
    size=st.sampled_from([16, 32]),
)
def test_kdf_is_sp800_108(key: bytes, label: bytes, context: bytes, size: int) -> None:
    other = KBKDFHMAC(
        SHA256(), Mode.CounterMode, size, 4, 4, CounterLocation.BeforeFixed, label, context, None
    )
    assert kdf(key, label, context, 8 * size) == other.derive(key)


def test_no_key_is_ever_printed() -> None:
    key = b"0123456789abcdef"
    keys = derive_keys(Dialect.SMB_2_1, key, b"", 0)
    assert repr(keys) == "Keys(signing=16 bytes, c2s=0 bytes, s2c=0 bytes, application=16 bytes)"
    for holder in (
        HmacSigner(key),
        CmacSigner(key),
        GmacSigner(key),
        Sealer(Cipher.AES_128_GCM, key, key, 1),
    ):
        assert "0123" not in repr(holder)


# --- signatures


def sign(signer: Signer, *parts: Blob, message_id: int = 0) -> bytes:
    return signer.sign(parts, message_id=message_id, from_server=False, is_cancel=False)


@pytest.mark.parametrize(
    ("size", "signature"),
    [
        (0, "bb1d6929e95937287fa37d129b756746"),
        (16, "070a16b46b4d4144f79bdd9dd04a287c"),
        (40, "dfa66747de9ae63030ca32611497c827"),
        (64, "51f0bebf7e3b9d92fc49741779363cfe"),
    ],
)
def test_cmac_as_in_rfc_4493(size: int, signature: str) -> None:
    message = unhex(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
        "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
    )[:size]
    signer = CmacSigner(unhex("2b7e151628aed2a6abf7158809cf4f3c"))
    assert sign(signer, message) == unhex(signature)
    assert sign(signer, message[:7], memoryview(message)[7:]) == unhex(signature)


def test_hmac_as_in_rfc_4231() -> None:
    signer = HmacSigner(b"Jefe")
    expected = unhex("5bdcc146bf60754e6a042426089575c7")
    assert sign(signer, b"what do ya want for nothing?") == expected
    assert sign(signer, b"what do ya want ", b"for nothing?") == expected


def test_gmac_as_in_the_gcm_specification() -> None:
    assert sign(GmacSigner(bytes(16))) == unhex("58e2fccefa7e3061367f1d57a4e7455a")


@pytest.mark.parametrize("size", [3, 200_000])
@pytest.mark.parametrize(
    ("from_server", "is_cancel", "flags"), [(False, False, 0), (True, False, 1), (False, True, 2)]
)
def test_gmac_takes_its_nonce_from_the_message(
    size: int, from_server: bool, is_cancel: bool, flags: int
) -> None:
    key, parts = bytes(range(16)), [b"head", b"x" * size, b"pad"]
    signature = GmacSigner(key).sign(
        parts, message_id=0x0102030405060708, from_server=from_server, is_cancel=is_cancel
    )
    nonce = unhex("0807060504030201") + bytes([flags, 0, 0, 0])
    assert signature == AESGCM(key).encrypt(nonce, b"", b"".join(parts))


def test_the_signature_of_a_published_login() -> None:
    message = memoryview(VECTORS["setup_response_2"])
    signer = signer_for(
        Dialect.SMB_3_1_1, SigningAlgorithm.AES_CMAC, unhex("73FE7A9A77BEF0BDE49C650D8CCB5F76")
    )
    parts: list[Blob] = [message[:48], bytes(16), message[64:]]
    assert signer.verify(parts, message[48:64], message_id=3, is_cancel=False)


@pytest.mark.parametrize("make", [HmacSigner, CmacSigner, GmacSigner])
def test_verify_believes_only_the_right_signature(
    make: type[HmacSigner] | type[CmacSigner] | type[GmacSigner],
) -> None:
    signer = make(bytes(range(16)))
    right = signer.sign(CHAIN, message_id=7, from_server=True, is_cancel=False)
    assert signer.verify(CHAIN, right, message_id=7, is_cancel=False)
    assert not signer.verify(CHAIN, bytes(16), message_id=7, is_cancel=False)
    assert not signer.verify(CHAIN[:-1], right, message_id=7, is_cancel=False)
    assert not make(bytes(16)).verify(CHAIN, right, message_id=7, is_cancel=False)


def test_an_answer_is_not_mistaken_for_its_request() -> None:
    signer = GmacSigner(bytes(range(16)))
    echoed = signer.sign(CHAIN, message_id=7, from_server=False, is_cancel=False)
    assert not signer.verify(CHAIN, echoed, message_id=7, is_cancel=False)
    assert signer.verify(CHAIN, echoed, message_id=7, is_cancel=False, from_server=False)


@pytest.mark.parametrize(
    ("dialect", "algorithm", "made"),
    [
        (Dialect.SMB_2_0_2, SigningAlgorithm.AES_GMAC, HmacSigner),
        (Dialect.SMB_2_1, SigningAlgorithm.AES_CMAC, HmacSigner),
        (Dialect.SMB_3_0, SigningAlgorithm.HMAC_SHA256, CmacSigner),
        (Dialect.SMB_3_0_2, SigningAlgorithm.AES_GMAC, CmacSigner),
        (Dialect.SMB_3_1_1, SigningAlgorithm.HMAC_SHA256, HmacSigner),
        (Dialect.SMB_3_1_1, SigningAlgorithm.AES_CMAC, CmacSigner),
        (Dialect.SMB_3_1_1, SigningAlgorithm.AES_GMAC, GmacSigner),
    ],
)
def test_only_3_1_1_has_a_choice_of_signers(dialect: int, algorithm: int, made: type) -> None:
    assert type(signer_for(dialect, algorithm, bytes(16))) is made


# --- seals


def sealers(cipher: int) -> tuple[Sealer, Sealer]:
    size = 32 if cipher in (Cipher.AES_256_CCM, Cipher.AES_256_GCM) else 16
    up, down = bytes(range(size)), bytes(range(size, 2 * size))
    return Sealer(cipher, up, down, SESSION), Sealer(cipher, down, up, SESSION)


def sealed(sealer: Sealer) -> bytearray:
    return bytearray().join(sealer.seal(CHAIN))


@pytest.mark.parametrize(
    ("name", "dialect", "cipher", "session", "key"),
    [
        (
            "ccm",
            Dialect.SMB_3_0,
            Cipher.AES_128_CCM,
            0x8E40014000011,
            "B4546771B515F766A86735532DD6C4F0",
        ),
        (
            "gcm",
            Dialect.SMB_3_1_1,
            Cipher.AES_128_GCM,
            SESSION,
            "419FDDF34C1E001909D362AE7FB6AF79",
        ),
    ],
)
def test_published_frames_open(
    name: str, dialect: int, cipher: int, session: int, key: str
) -> None:
    keys = derive_keys(dialect, unhex(key), VECTORS["preauth_gcm"], cipher)
    client = Sealer(cipher, keys.c2s, keys.s2c, session)
    server = Sealer(cipher, keys.s2c, keys.c2s, session)
    assert client.open(memoryview(VECTORS[f"{name}_received"])) == VECTORS[f"{name}_received_plain"]
    assert server.open(memoryview(VECTORS[f"{name}_sent"])) == VECTORS[f"{name}_sent_plain"]


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("size", [0, 1, 4096, 1 << 18])
def test_what_one_seals_the_other_opens(cipher: int, size: int) -> None:
    client, server = sealers(cipher)
    payload = memoryview(bytearray(range(256)) * (size // 256))
    parts: list[Blob] = [*CHAIN, payload, bytes(size % 256)]
    plain = b"".join(parts)
    for end, other in ((client, server), (server, client)):
        header, ciphertext = end.seal(parts)
        assert len(header) == TransformHeader.FIXED
        assert len(ciphertext) == len(plain)
        assert plain not in bytes(ciphertext)
        frame = memoryview(b"".join((header, ciphertext)))
        assert other.open(frame) == plain
        assert other.open(frame) == plain  # and left the frame as it was


@pytest.mark.parametrize("cipher", CIPHERS)
def test_sealing_in_one_buffer_gives_what_two_would(cipher: int) -> None:
    key = bytes(range(32 if cipher > 2 else 16))
    plain = bytes(range(256)) * 1024
    frame = b"".join(Sealer(cipher, key, key, SESSION).seal([plain[:64], plain[64:]]))
    reference, nonce_size = (AESGCM(key), 12) if cipher % 2 == 0 else (AESCCM(key), 11)
    nonce, authenticated = frame[20 : 20 + nonce_size], frame[20:52]
    assert frame[52:] + frame[4:20] == reference.encrypt(nonce, plain, authenticated)


@pytest.mark.parametrize("cipher", CIPHERS)
def test_no_nonce_comes_twice(cipher: int) -> None:
    client, again = sealers(cipher)[0], sealers(cipher)[0]
    nonces = [bytes(sealed(s)[20:36]) for s in (client, again) for _ in range(300)]
    assert len(set(nonces)) == 600
    used = 11 if cipher in (Cipher.AES_128_CCM, Cipher.AES_256_CCM) else 12
    assert all(nonce[used:] == bytes(16 - used) for nonce in nonces)


def test_a_key_without_nonces_seals_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crypto, "NONCES", 2)
    client, _ = sealers(Cipher.AES_128_GCM)
    client.seal(CHAIN)
    client.seal(CHAIN)
    with pytest.raises(ConnectionLost, match="nonce"):
        client.seal(CHAIN)


@pytest.mark.parametrize("cipher", CIPHERS)
def test_every_changed_byte_is_noticed(cipher: int) -> None:
    client, server = sealers(cipher)
    frame = sealed(client)
    for at in range(len(frame)):
        changed = bytearray(frame)
        changed[at] ^= 1
        with pytest.raises(Tampered):
            server.open(memoryview(changed))


@pytest.mark.parametrize("cipher", CIPHERS)
def test_what_is_no_frame_of_this_session_is_refused(cipher: int) -> None:
    client, server = sealers(cipher)
    frame = sealed(client)
    for wrong in (b"", frame[:51], frame[:115], frame[:-1], frame + b"\0"):
        with pytest.raises(Tampered):
            server.open(memoryview(wrong))
    with pytest.raises(Tampered, match="seal"):
        client.open(memoryview(frame))  # our own, sent back to us
    stranger = Sealer(cipher, *(bytes(32 if cipher > 2 else 16),) * 2, SESSION + 1)
    with pytest.raises(Tampered, match="for session 0x100000000026"):
        stranger.open(memoryview(frame))
