"""Finding certificates in keyrings without parsing all of them."""

from __future__ import annotations

from pathlib import Path

import pysequoia
import pytest

from rebuilder.errors import ConfigurationError
from rebuilder.trust import keyring
from tests.archive.key import SigningKey

FIRST, SECOND = SigningKey("First"), SigningKey("Second")
ARCHIVE_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def write(path: Path, data: bytes) -> Path:
    """Write a keyring."""
    path.write_bytes(data)
    return path


def armored(certificate: bytes) -> bytes:
    """Put a certificate into armor."""
    return pysequoia.armor(certificate, pysequoia.ArmorKind.PublicKey).encode() + b"\n"


@pytest.mark.parametrize("wrap", [bytes, armored])
def test_a_certificate_is_found_by_each_of_its_keys(wrap: type[bytes], tmp_path: Path) -> None:
    """Primary key, subkey, fingerprint or key id, in any case: the same whole certificate, from either form of file."""
    ring = keyring.load(write(tmp_path / "two", wrap(FIRST.certificate) + wrap(SECOND.certificate)))
    assert len(ring.places) >= 4
    assert ring.certificates([SECOND.fingerprint]) == (SECOND.certificate,)
    assert ring.certificates([SECOND.fingerprint[-16:].lower()]) == (SECOND.certificate,)
    for key in ring.places:
        (found,) = ring.certificates([key])
        assert pysequoia.Cert.from_bytes(found).fingerprint.upper() in {FIRST.fingerprint, SECOND.fingerprint}


def test_an_unknown_key_finds_nothing(tmp_path: Path) -> None:
    """No certificate is guessed."""
    ring = keyring.load(write(tmp_path / "one", FIRST.certificate))
    assert ring.certificates([SECOND.fingerprint, "0" * 16, ""]) == ()


def test_sequoia_reads_the_same_certificates_from_debians_own_keyring() -> None:
    """Our walk over packet headers agrees with a full parser about the archive keyring."""
    ring = keyring.load(ARCHIVE_KEYRING)
    parsed = {cert.fingerprint for cert in pysequoia.Cert.split_file(str(ARCHIVE_KEYRING))}
    found = {pysequoia.Cert.from_bytes(each).fingerprint for each in ring.certificates(ring.places)}
    assert found == parsed


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no certificate"),
        (b"not a keyring", "is not an OpenPGP keyring"),
        (FIRST.certificate[:-40], "is not an OpenPGP keyring: the packet at byte"),
        (b"\x00\x00\x00\x20\x01\x01\x00\x02KBXf", "is not an OpenPGP keyring"),
        (b"\xd9\xe0", "is not an OpenPGP keyring"),
        (bytes(pysequoia.Tsk.generate("Secret <s@archive.test>")), "it holds secret keys"),
        (b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!!!\n-----END PGP PUBLIC KEY BLOCK-----\n", "has broken armor"),
    ],
    ids=["empty", "text", "cut", "keybox", "long length", "secret", "broken armor"],  # keys are new in each process
)
def test_an_unusable_keyring_is_refused(content: bytes, words: str, tmp_path: Path) -> None:
    """Empty, cut, another format, secret: a setting is wrong, and the message says how."""
    with pytest.raises(ConfigurationError, match=words):
        keyring.load(write(tmp_path / "bad.gpg", content))


def test_an_absent_keyring_says_what_to_install(tmp_path: Path) -> None:
    """The hint names the packages."""
    with pytest.raises(ConfigurationError, match="is not there") as caught:
        keyring.load(tmp_path / "none.gpg")
    assert "debian-archive-keyring" in (caught.value.hint or "")
