"""Key files of ours: `<state>/keys/<role>.pem` (PKCS#8) and `<role>.pub`, and the keys of others that were enrolled.

Made on first use, never overwritten: the private key appears under its name by `link`, which fails if the name is
taken, so that of two processes that come first at once one makes the key and the other uses it. Directories are
0700 and private keys 0600; a private key that others could read is refused rather than used.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from rebuilder.attest.keys import KEY_LIMIT_BYTES, PublicKey, Role, parse_public_key
from rebuilder.errors import ConfigurationError, UsageError
from rebuilder.world.files import locked, read, storage_errors, write_atomically

Passphrase = Callable[[], bytes]
"""Asks for a passphrase, when it is needed and not before: reads a file or prompts."""


_DOMAIN = re.compile(r"[^\s,/+]{1,100}\Z")


def key_path(state: Path, role: Role) -> Path:
    """Where the private key of a role is."""
    return state / "keys" / f"{role}.pem"


def key_uri(state: Path, role: Role) -> str:
    """Address of a role's key file, for `rebuilder.attest.signing.open_signer`."""
    return f"file:{key_path(state, role).absolute()}"


def ensure_key(state: Path, role: Role, *, passphrase: Passphrase | None = None) -> PublicKey:
    """Return the public key of a role, making the pair on first use; an existing pair is never replaced."""
    private, public = key_path(state, role), key_path(state, role).with_suffix(".pub")
    _private_directory(private.parent)
    with locked(private.parent / f".{role}.lock"):
        if not private.exists():
            _create(private, passphrase() if passphrase else None)
        if not public.exists():
            key = PublicKey.of(load_private_key(private, passphrase=passphrase).public_key())
            write_atomically(public, key.pem.encode(), mode=0o644)
    return load_public_key(public)


def load_private_key(path: Path, *, passphrase: Passphrase | None = None) -> Ed25519PrivateKey:
    """Read a PKCS#8 key; raise ConfigurationError if others may read it, or the passphrase is missing or wrong."""
    data = _read_private(path)
    encrypted = b"BEGIN ENCRYPTED PRIVATE KEY" in data
    if encrypted and passphrase is None:
        raise ConfigurationError(f"{path} is protected by a passphrase", hint="give `--passphrase-file`, or type it")
    try:
        key = load_pem_private_key(data, passphrase() if encrypted and passphrase else None)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{path}: the passphrase is wrong, or this is not a PKCS#8 private key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(f"{path}: an Ed25519 key is expected, found {type(key).__name__}")
    return key


def load_public_key(path: Path) -> PublicKey:
    """Read a public key file, of ours or of somebody else."""
    return parse_public_key(read(path, limit_bytes=KEY_LIMIT_BYTES))


def passphrase_from_file(path: Path) -> Passphrase:
    """Ask for a passphrase that is the first line of a file which only its owner may read."""

    def ask() -> bytes:
        line = _read_private(path).partition(b"\n")[0].rstrip(b"\r")
        if not line:
            raise ConfigurationError(f"{path}: the first line holds no passphrase")
        return line

    return ask


def enroll(state: Path, role: Role, key: PublicKey, *, domain: str | None = None) -> None:
    """Let a key of somebody else (or our own, on one machine) act in a role from now on.

    `domain` is a builder's fault domain; None leaves the one that it has, if any. Raise UsageError for no plain word.
    """
    if domain is not None and not _DOMAIN.match(domain):
        raise UsageError(
            f"not a fault domain: {domain[:80]!r}", hint="a word, as in `rebuilder workers token --domain`"
        )
    _private_directory(state / "enrolled")
    directory = state / "enrolled" / role
    _private_directory(directory)
    if domain is not None:
        write_atomically(directory / f"{key.keyid}.domain", f"{domain}\n".encode(), mode=0o600)
    write_atomically(directory / f"{key.keyid}.pem", key.pem.encode(), mode=0o600)


def dismiss(state: Path, role: Role, keyid: str) -> None:
    """Let a key act in a role no more. What it signed keeps a valid signature; what is signed for it is over."""
    directory = state / "enrolled" / role
    with storage_errors(directory):
        (directory / f"{keyid}.pem").unlink(missing_ok=True)
        (directory / f"{keyid}.domain").unlink(missing_ok=True)


def enrolled(state: Path, role: Role) -> tuple[PublicKey, ...]:
    """Keys that act in a role; none is an answer, for whoever asks to refuse."""
    directory = state / "enrolled" / role
    if not directory.is_dir():
        return ()
    with storage_errors(directory):
        paths = sorted(directory.glob("*.pem"))
    return tuple(load_public_key(path) for path in paths)


def _create(path: Path, passphrase: bytes | None) -> None:
    if passphrase is not None and not passphrase:
        raise ConfigurationError("an empty passphrase protects nothing", hint="leave it out, or choose one")
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    )
    with storage_errors(path):
        descriptor, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                os.fchmod(stream.fileno(), 0o600)
                stream.write(pem)
                stream.flush()
                os.fsync(stream.fileno())
            os.link(name, path)
        except FileExistsError:
            pass
        finally:
            os.unlink(name)


def _read_private(path: Path) -> bytes:
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077:
                raise ConfigurationError(
                    f"{path}: expected mode 0600, found {stat.S_IMODE(status.st_mode):04o}: others may read it",
                    hint=f"chmod 600 {path}, and replace what it protects if anybody may have read it",
                )
            return stream.read(KEY_LIMIT_BYTES)


def _private_directory(path: Path) -> None:
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise ConfigurationError(f"{path}: expected mode 0700, found {mode:04o}", hint=f"chmod 700 {path}")
