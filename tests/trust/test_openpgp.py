"""Inline OpenPGP signatures: what is accepted, and every attack that is refused."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pysequoia
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rebuilder.errors import ConfigurationError, SignatureRefused
from rebuilder.trust import openpgp
from tests.archive.key import SigningKey

TEXT = b"Origin: Debian\n- a line that begins with a dash\nDescription: x\n y  \n"
COVERED = b"Origin: Debian\n- a line that begins with a dash\nDescription: x\n y\n\n"
# Sequoia ends what it signs with a line end of its own: the text that is covered ends in an empty line.
KEY = SigningKey()
STRANGER = SigningKey("Somebody else")
SIGNED = KEY.sign(TEXT)


@pytest.fixture(scope="module")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the keyring that vouches for KEY alone."""
    return KEY.write(tmp_path_factory.mktemp("keys") / "archive.gpg")


def verify(document: bytes, *keyrings: Path, second_opinion: bool = False) -> openpgp.SignedText:
    """Verify a document called InRelease."""
    return openpgp.verify_inline(document, keyrings, name="InRelease", second_opinion=second_opinion)


def two_signatures(text: bytes) -> bytes:
    """Sign a text by KEY and by STRANGER, in one block."""
    bodies = []
    for key in (KEY, STRANGER):
        block = key.sign(text)[key.sign(text).index(b"-----BEGIN PGP SIGNATURE-----") :]
        bodies += [bytes(each) for each in pysequoia.packet.PacketPile.from_bytes(block)]
    armor = pysequoia.armor(b"".join(bodies), pysequoia.ArmorKind.Signature).encode()
    head = SIGNED[: SIGNED.index(b"-----BEGIN PGP SIGNATURE-----")]
    return head + armor.rstrip(b"\n") + b"\n"


def test_the_signed_text_and_nothing_else_is_returned(keyring: Path) -> None:
    """What comes back is the text that the signature covers, unescaped, with the signer and the keyring's digest."""
    signed = verify(SIGNED, keyring)
    assert signed.text == COVERED
    (signer,) = signed.signers
    assert signer.certificate == KEY.fingerprint
    assert signer.keyring.startswith("archive.gpg sha256:")
    assert signer.signed_at is not None
    assert abs(signer.signed_at - datetime.now(UTC)) < timedelta(hours=6)


def test_line_ends_of_a_mirror_do_not_matter(keyring: Path) -> None:
    """The framework does not sign line ends: a document with carriage returns verifies, and reads the same."""
    assert verify(SIGNED.replace(b"\n", b"\r\n"), keyring).text == COVERED


def test_gpgv_agrees_when_it_is_asked(keyring: Path) -> None:
    """A second opinion names the same signer and the same text, and is kept."""
    assert (verify(SIGNED, keyring, second_opinion=True).second_opinion or "").startswith("gpgv agrees (gpgv ")
    assert verify(SIGNED, keyring).second_opinion is None


def test_one_known_signature_is_enough_and_the_other_is_noted(keyring: Path) -> None:
    """Of two signatures the one by an unknown key is not counted, and a reader learns of it."""
    signed = verify(two_signatures(TEXT), keyring)
    assert [signer.certificate for signer in signed.signers] == [KEY.fingerprint]
    assert len(signed.notes) == 1
    assert "was not counted" in signed.notes[0]


ATTACKS = {
    "nothing": (b"", "it is not signed inline"),
    "unsigned": (TEXT, "it is not signed inline"),
    "text after the message": (SIGNED + b"Origin: Evil\n", "text stands after the signed message"),
    "text before the message": (b"Origin: Evil\n" + SIGNED, "text stands before the signed message"),
    "two messages": (SIGNED + SIGNED, "expected one message with one block of signatures"),
    "a header that is no hash": (SIGNED.replace(b"Hash:", b"Origin: Evil\nHash:", 1), "only Hash headers"),
    "an unescaped dash": (SIGNED.replace(b"- - a", b"-- a", 1), "is not escaped"),
    "a NUL": (SIGNED.replace(b"Debian", b"Debi\0an", 1), "is not escaped"),
    "an altered byte": (SIGNED.replace(b"Debian", b"Debien", 1), "no valid signature"),
    "a removed line": (SIGNED.replace(b"Description: x\n", b"", 1), "no valid signature"),
    "an added empty line": (SIGNED.replace(b"Origin", b"\nOrigin", 1), "no valid signature"),
    "a cut signature": (SIGNED[:-120], "expected one message with one block of signatures"),
    "no signature packet": (
        SIGNED[: SIGNED.index(b"-----BEGIN PGP SIGNATURE")]
        + b"-----BEGIN PGP SIGNATURE-----\n\n-----END PGP SIGNATURE-----\n",
        "signature",
    ),
    "an unknown key": (STRANGER.sign(TEXT), "none of these keys is in archive.gpg"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused(attack: str, keyring: Path) -> None:
    """Whatever is not exactly one message, validly signed by a known key, is refused by name."""
    document, words = ATTACKS[attack]
    with pytest.raises(SignatureRefused, match=words) as caught:
        verify(document, keyring)
    assert str(caught.value).startswith("InRelease: ")
    assert "Stack backtrace" not in str(caught.value)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, len(SIGNED) - 1), bit=st.integers(0, 7))
def test_no_flipped_bit_changes_what_is_read(place: int, bit: int, keyring: Path) -> None:
    """One bit changed anywhere: refused, or (in white space and armor) read as the very same text."""
    document = bytearray(SIGNED)
    document[place] ^= 1 << bit
    try:
        signed = verify(bytes(document), keyring)
    except SignatureRefused:
        return
    assert signed.text == COVERED


def test_an_empty_set_of_keyrings_is_refused() -> None:
    """With nobody to vouch, nothing is verified."""
    with pytest.raises(ConfigurationError, match="no keyring is configured that could vouch for InRelease"):
        verify(SIGNED)


def test_a_hash_that_is_no_longer_accepted_is_refused(keyring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A valid signature over a hash outside the stated set does not count."""
    monkeypatch.setattr(openpgp, "_ACCEPTED_HASHES", frozenset({"SHA3_512"}))
    with pytest.raises(SignatureRefused, match="signed over a digest that is no longer accepted"):
        verify(SIGNED, keyring)


def test_a_key_that_expired_before_it_signed_is_at_fault_not_the_signature(tmp_path: Path) -> None:
    """An old copy of a key in a keyring is told from a forged signature."""
    secret = pysequoia.Tsk.generate("Late <late@archive.test>")
    public = secret.extract_certificate()
    expired = public.set_expiration(datetime.now(UTC) + timedelta(seconds=1), secret.certifier())
    path = tmp_path / "old.gpg"
    path.write_bytes(bytes(expired))
    time.sleep(2.1)
    document = pysequoia.sign(secret.signer(), TEXT, mode=pysequoia.SignatureMode.CLEAR)
    with pytest.raises(openpgp.UnusableKey, match=r"the key expired on .*, before it signed"):
        verify(document, path)


def test_inspecting_believes_nothing_and_names_the_key() -> None:
    """Who a document claims to be signed by can be told without a keyring."""
    (claim,) = openpgp.inspect(STRANGER.sign(TEXT), "x.dsc")
    assert claim.hash_algorithm == "SHA512"
    assert claim.made_at is not None
    assert len(claim.key) == 40
    assert openpgp.is_signed(SIGNED)
    assert not openpgp.is_signed(TEXT)
