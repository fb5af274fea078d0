"""Device keys: reading, naming, checking and making them."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from stores import keys
from stores.keys import (
    decode_public_key,
    device_id_of,
    encode_key,
    generate,
    key_pair_of_seed,
    load_private_key_pem,
    public_key_pem,
    verify,
)

VECTORS = Path(__file__).parent / "vectors"
SYNTHETIC = json.loads((VECTORS / "device-identity.json").read_bytes())["vectors"]
SIGNED = json.loads((VECTORS / "signed-connect.json").read_bytes())["vectors"]

PAIR = key_pair_of_seed(bytes(range(32)))
FIELD = 2**255 - 19
TO_STANDARD = str.maketrans("-_", "+/")


@pytest.mark.parametrize("vector", SYNTHETIC, ids=lambda vector: vector["seedHex"][:4])
def test_a_seed_gives_the_published_identity(vector):
    pair = key_pair_of_seed(bytes.fromhex(vector["seedHex"]))

    assert pair.raw_public_key.hex() == vector["publicKeyRawHex"]
    assert pair.public_key == vector["publicKeyBase64url"]
    assert pair.public_key_pem == vector["publicKeyPem"]
    assert pair.device_id == vector["deviceId"]


@pytest.mark.parametrize("vector", SYNTHETIC, ids=lambda vector: vector["seedHex"][:4])
def test_a_seed_signs_as_published(vector):
    pair = key_pair_of_seed(bytes.fromhex(vector["seedHex"]))

    for item in vector["signatures"].values():
        assert pair.sign(item["payload"].encode()) == item["signature"]


@pytest.mark.parametrize("vector", SIGNED, ids=lambda vector: vector["clientKind"])
def test_a_captured_signature_verifies(vector):
    raw = decode_public_key(vector["publicKey"])

    assert raw is not None
    assert raw.hex() == vector["publicKeyRawHex"]
    assert device_id_of(raw) == vector["deviceId"]
    assert verify(raw, vector["signaturePayload"].encode(), vector["signature"])
    if vector["privateKeySeedHex"]:
        pair = key_pair_of_seed(bytes.fromhex(vector["privateKeySeedHex"]))
        assert pair.sign(vector["signaturePayload"].encode()) == vector["signature"]


@pytest.mark.parametrize("name", ["store-01-identity", "store-05-identity-second"])
def test_an_identity_file_of_a_published_client_is_read(name):
    path = VECTORS / "stores/2026.2.19" / name / "device.json"
    stored = json.loads(path.read_bytes())

    pair = load_private_key_pem(stored["privateKeyPem"])

    assert pair is not None
    assert pair.device_id == stored["deviceId"]
    assert pair.private_key_pem == stored["privateKeyPem"]
    assert decode_public_key(stored["publicKeyPem"]) == pair.raw_public_key


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(PAIR.public_key, id="base64url"),
        pytest.param(PAIR.public_key + "=", id="padded"),
        pytest.param(base64.b64encode(PAIR.raw_public_key).decode(), id="standard"),
        pytest.param(PAIR.public_key_pem, id="pem"),
        pytest.param(PAIR.public_key_pem.replace("\n", "\r\n"), id="pem-from-windows"),
        pytest.param("\n" + PAIR.public_key_pem.rstrip(), id="pem-with-other-space"),
    ],
)
def test_a_public_key_is_read_in_every_form(text):
    assert decode_public_key(text) == PAIR.raw_public_key


def other_public_pem():
    """Return a PEM of the same length that holds a key of another kind."""
    public = X25519PrivateKey.from_private_bytes(bytes(range(32))).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param(PAIR.public_key[:-1], id="short"),
        pytest.param(PAIR.public_key + "A", id="long"),
        pytest.param(PAIR.public_key[:-1] + "!", id="not-base64"),
        pytest.param(PAIR.public_key[:20] + "\n" + PAIR.public_key[20:], id="broken-line"),
        pytest.param("ключ" * 11, id="not-ascii"),
        pytest.param("\ud800", id="lone-surrogate"),
        pytest.param(PAIR.public_key_pem[:-40], id="cut-pem"),
        pytest.param(PAIR.private_key_pem, id="private-pem"),
        pytest.param(other_public_pem(), id="another-kind-of-key"),
        pytest.param(public_key_pem(PAIR.raw_public_key + b"x"), id="pem-too-long"),
    ],
)
def test_what_is_no_public_key_is_none(text):
    assert decode_public_key(text) is None


def encodings_of_small_order():
    """Return every 32-byte string that a lenient reader takes for a point of small order."""
    order_8 = int.from_bytes(
        bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"
    )
    ys = (0, 1, FIELD - 1, FIELD, FIELD + 1, order_8, FIELD - order_8)
    return [(y | sign << 255).to_bytes(32, "little") for y in ys for sign in (0, 1)]


@pytest.mark.parametrize("raw", encodings_of_small_order(), ids=lambda raw: raw.hex()[-8:])
def test_a_key_of_small_order_identifies_nobody(raw):
    assert decode_public_key(encode_key(raw)) is None
    assert decode_public_key(public_key_pem(raw)) is None


def test_a_key_of_small_order_would_let_anybody_sign():
    neutral = (1).to_bytes(32, "little")
    forged = neutral + bytes(32)

    Ed25519PublicKey.from_public_bytes(neutral).verify(forged, b"whatever")


def is_of_small_order(y):
    """Tell whether eight times the point with this ``y`` is neutral, by arithmetic on ``y`` alone.

    Doubling on -x^2 + y^2 = 1 + d x^2 y^2 needs x only squared, and x^2 follows from y.
    """
    d = -121665 * pow(121666, -1, FIELD)
    for _ in range(3):
        square = (y * y - 1) * pow(d * y * y + 1, -1, FIELD)
        y = (y * y + square) * pow(1 - d * square * y * y, -1, FIELD) % FIELD
    return y == 1


def test_the_keys_of_small_order_are_those_whose_eightfold_is_neutral():
    assert all(is_of_small_order(y % FIELD) for y in keys._SMALL_ORDER_Y)
    assert not is_of_small_order(int.from_bytes(PAIR.raw_public_key, "little") % 2**255)


@pytest.mark.parametrize(
    "form", [lambda text: text, lambda text: text + "==", lambda text: text.translate(TO_STANDARD)]
)
def test_a_signature_is_read_in_every_form(form):
    assert verify(PAIR.raw_public_key, b"message", form(PAIR.sign(b"message")))


@pytest.mark.parametrize(
    ("raw", "message", "signature"),
    [
        pytest.param(PAIR.raw_public_key, b"other", PAIR.sign(b"message"), id="message"),
        pytest.param(bytes(31) + b"\x07", b"message", PAIR.sign(b"message"), id="key"),
        pytest.param(PAIR.raw_public_key[:-1], b"message", PAIR.sign(b"message"), id="short-key"),
        pytest.param(b"\xff" * 32, b"message", PAIR.sign(b"message"), id="no-point"),
        pytest.param(PAIR.raw_public_key, b"message", "AAAA", id="short-signature"),
        pytest.param(PAIR.raw_public_key, b"message", "", id="no-signature"),
        pytest.param(PAIR.raw_public_key, b"message", "ü" * 86, id="not-base64"),
    ],
)
def test_what_does_not_verify_is_false(raw, message, signature):
    assert verify(raw, message, signature) is False


@given(st.binary(max_size=40), st.binary(max_size=40), st.text() | st.binary().map(encode_key))
def test_nothing_makes_verification_raise(raw, message, signature):
    assert verify(raw, message, signature) is False


@given(st.text() | st.binary().map(encode_key))
def test_nothing_makes_reading_a_key_raise(text):
    raw = decode_public_key(text)

    assert raw is None or len(raw) == 32


@given(st.binary(min_size=32, max_size=32))
def test_any_seed_comes_back_from_its_forms(seed):
    pair = key_pair_of_seed(seed)

    assert load_private_key_pem(pair.private_key_pem) == pair
    assert decode_public_key(pair.public_key) == pair.raw_public_key
    assert decode_public_key(pair.public_key_pem) == pair.raw_public_key
    assert verify(pair.raw_public_key, b"m", pair.sign(b"m"))


def test_a_generated_key_is_new_and_never_shows():
    one, other = generate(), generate()

    assert one.device_id != other.device_id
    assert repr(one.seed) not in repr(one)


def test_a_seed_of_another_length_is_refused():
    with pytest.raises(ValueError, match="32"):
        key_pair_of_seed(b"short")


def pem_of(private, encryption):
    """Return a PKCS#8 PEM."""
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def encrypted_pem():
    """Return our key under a passphrase."""
    private = load_pem_private_key(PAIR.private_key_pem.encode(), password=None)
    return pem_of(private, BestAvailableEncryption(b"pass"))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("\ud800", id="lone-surrogate"),
        pytest.param(PAIR.public_key_pem, id="public"),
        pytest.param(PAIR.private_key_pem.replace("MC4C", "MC4D"), id="damaged"),
        pytest.param(encrypted_pem(), id="encrypted"),
        pytest.param(
            pem_of(X25519PrivateKey.from_private_bytes(bytes(32)), NoEncryption()), id="other-kind"
        ),
    ],
)
def test_what_is_no_private_key_is_none(text):
    assert load_private_key_pem(text) is None


def test_naming_a_key_loads_no_cryptography():
    script = (
        "import sys; from stores import keys;"
        f"keys.device_id_of(keys.decode_public_key({PAIR.public_key_pem!r}));"
        "sys.exit('cryptography' in sys.modules)"
    )

    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parent.parent)
