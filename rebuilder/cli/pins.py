"""Keys of others that the reader has pinned: `<state>/pinned/<name>.pem`, put there by hand, from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

from rebuilder.attest.keys import PublicKey
from rebuilder.attest.keystore import load_public_key
from rebuilder.errors import ConfigurationError, UnknownTarget, UsageError
from rebuilder.world.files import storage_errors, write_atomically

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}\Z")


def pin(state: Path, name: str, key: PublicKey) -> Path:
    """Trust a key under a name from now on; raise ConfigurationError if the name stands for another key."""
    if not _NAME.match(name):
        raise UsageError(f"not a name for a key: {name[:80]!r}", hint="letters, digits and . _ @ + -, at most 64")
    path = state / "pinned" / f"{name}.pem"
    if path.exists() and load_public_key(path) != key:
        raise ConfigurationError(
            f"{name} is pinned to another key",
            hint=f"pin the new one under another name; trust the old one no more by `rebuilder keys unpin {name}`",
        )
    write_atomically(path, key.pem.encode(), mode=0o600)
    return path


def unpin(state: Path, name: str) -> PublicKey:
    """Trust the key under a name no more, and return it; raise UnknownTarget if there is none."""
    known_pins = pinned(state)
    if name not in known_pins:
        names = ", ".join(known_pins) or "no key at all"
        raise UnknownTarget(f"no key is pinned under {name[:80]!r}", hint=f"pinned: {names}")
    path = state / "pinned" / f"{name}.pem"
    with storage_errors(path):
        path.unlink(missing_ok=True)
    return known_pins[name]


def known(state: Path) -> tuple[PublicKey, ...]:
    """Return every pinned key, and our own attestation key where there is one."""
    own = state / "keys" / "attestation.pub"
    return (*pinned(state).values(), *([load_public_key(own)] if own.is_file() else []))


def pinned(state: Path) -> dict[str, PublicKey]:
    """Return every pinned key by its name; none is an answer."""
    directory = state / "pinned"
    with storage_errors(directory):
        paths = sorted(directory.glob("*.pem")) if directory.is_dir() else []
    return {path.stem: load_public_key(path) for path in paths}
