"""Key files: made once, kept private, never replaced."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from rebuilder.attest.keys import Role
from rebuilder.attest.keystore import (
    enroll,
    enrolled,
    ensure_key,
    key_path,
    key_uri,
    load_private_key,
    passphrase_from_file,
)
from rebuilder.attest.signing import open_signer
from rebuilder.errors import ConfigurationError, StorageFailure
from tests.attest.factory import BUILDER


def mode(path: Path) -> int:
    """Permission bits of a path."""
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_is_made_on_first_use_and_kept(tmp_path: Path) -> None:
    """The second use gives the first key; its file is 0600 in a directory that is 0700."""
    key = ensure_key(tmp_path, Role.ATTESTATION)
    private = key_path(tmp_path, Role.ATTESTATION)
    before = private.read_bytes()
    assert ensure_key(tmp_path, Role.ATTESTATION) == key
    assert private.read_bytes() == before
    assert (mode(private), mode(private.parent)) == (0o600, 0o700)
    assert before.startswith(b"-----BEGIN PRIVATE KEY-----")


def test_roles_have_keys_of_their_own(tmp_path: Path) -> None:
    """Two roles never share a key."""
    assert ensure_key(tmp_path, Role.ATTESTATION) != ensure_key(tmp_path, Role.BUILDER)


def test_what_the_key_signs_its_public_key_verifies(tmp_path: Path) -> None:
    """The signer opened by address belongs to the public key that was exported."""
    key = ensure_key(tmp_path, Role.ATTESTATION)
    signer = open_signer(key_uri(tmp_path, Role.ATTESTATION))
    assert signer.public_key == key
    key.verify(signer.sign(b"data"), b"data")


def test_processes_that_come_first_at_once_get_one_key(tmp_path: Path) -> None:
    """Six processes use the key for the first time together: all of them hold the same one."""
    code = (
        "import sys, pathlib; from rebuilder.attest.keystore import ensure_key; "
        "from rebuilder.attest.keys import Role; print(ensure_key(pathlib.Path(sys.argv[1]), Role.BUILDER).keyid)"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    keyids = {process.communicate(timeout=60)[0].strip() for process in running}
    assert len(keyids) == 1
    assert len(keyids.pop()) == 64
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == [
        ".builder.lock",
        "builder.pem",
        "builder.pub",
    ]


def test_a_lost_public_key_is_made_again_from_the_private_one(tmp_path: Path) -> None:
    """A crash between writing the two files leaves nothing to repair by hand."""
    key = ensure_key(tmp_path, Role.BUILDER)
    key_path(tmp_path, Role.BUILDER).with_suffix(".pub").unlink()
    assert ensure_key(tmp_path, Role.BUILDER) == key


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660, 0o644])
def test_attack_key_file_that_others_can_read(tmp_path: Path, bits: int) -> None:
    """A key that others may have read is refused, with the mode that was found and the command to mend it."""
    ensure_key(tmp_path, Role.ATTESTATION)
    path = key_path(tmp_path, Role.ATTESTATION)
    path.chmod(bits)
    with pytest.raises(ConfigurationError, match=f"expected mode 0600, found {bits:04o}") as caught:
        open_signer(key_uri(tmp_path, Role.ATTESTATION))
    assert caught.value.hint is not None
    assert "chmod 600" in caught.value.hint


def test_attack_key_directory_that_others_can_enter(tmp_path: Path) -> None:
    """Keys are not made in a directory where somebody else could put one."""
    (tmp_path / "keys").mkdir(mode=0o755)
    with pytest.raises(ConfigurationError, match="expected mode 0700, found 0755"):
        ensure_key(tmp_path, Role.ATTESTATION)


def test_attack_key_file_that_is_a_link(tmp_path: Path) -> None:
    """A symbolic link in the key's place is not followed."""
    ensure_key(tmp_path, Role.ATTESTATION)
    link = tmp_path / "link.pem"
    link.symlink_to(key_path(tmp_path, Role.ATTESTATION))
    with pytest.raises(StorageFailure):
        load_private_key(link)


def test_a_passphrase_protects_the_key(tmp_path: Path) -> None:
    """Without the passphrase, or with another, the key does not open; with it, it does."""
    key = ensure_key(tmp_path, Role.ATTESTATION, passphrase=lambda: b"correct horse")
    uri = key_uri(tmp_path, Role.ATTESTATION)
    assert open_signer(uri, passphrase=lambda: b"correct horse").public_key == key
    with pytest.raises(ConfigurationError, match="is protected by a passphrase"):
        open_signer(uri)
    with pytest.raises(ConfigurationError, match="the passphrase is wrong"):
        open_signer(uri, passphrase=lambda: b"battery staple")


def test_an_empty_passphrase_is_refused(tmp_path: Path) -> None:
    """An empty passphrase would only look like protection."""
    with pytest.raises(ConfigurationError, match="protects nothing"):
        ensure_key(tmp_path, Role.OWNER, passphrase=lambda: b"")


def test_a_passphrase_file_is_read_only_if_private(tmp_path: Path) -> None:
    """The first line is the passphrase; a file that others can read, or an empty one, is refused."""
    path = tmp_path / "passphrase"
    path.write_bytes(b"correct horse\nsecond line\n")
    path.chmod(0o600)
    assert passphrase_from_file(path)() == b"correct horse"
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="others may read it"):
        passphrase_from_file(path)()
    path.chmod(0o600)
    path.write_bytes(b"\n")
    with pytest.raises(ConfigurationError, match="holds no passphrase"):
        passphrase_from_file(path)()


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    """Text in a key's place gives a message, not a traceback."""
    path = tmp_path / "key.pem"
    path.write_text("hello")
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="not a PKCS#8 private key"):
        load_private_key(path)


def test_enrolled_keys_are_those_that_were_enrolled(tmp_path: Path) -> None:
    """Nobody is enrolled until somebody is, and roles do not mix."""
    assert enrolled(tmp_path, Role.BUILDER) == ()
    enroll(tmp_path, Role.BUILDER, BUILDER.public_key)
    enroll(tmp_path, Role.BUILDER, BUILDER.public_key)
    assert enrolled(tmp_path, Role.BUILDER) == (BUILDER.public_key,)
    assert enrolled(tmp_path, Role.COMPARER) == ()


@pytest.mark.parametrize("uri", ["", "attestation.pem", "pkcs11:token=t", "http://host/key", ":"])
def test_an_address_of_an_unknown_kind_is_refused(uri: str) -> None:
    """Signers are found by scheme; what has none, or another, is refused with the schemes that there are."""
    with pytest.raises(ConfigurationError, match="known schemes: file"):
        open_signer(uri)
