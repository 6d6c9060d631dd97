"""OpenPGP certificates in a file, found by key without parsing all of them (RFC 9580, sections 4 and 5.5).

The keyring of Debian's developers has 900 certificates in 28 MB; parsing them all takes over a second. Here the packet
headers are walked, the primary keys and subkeys are fingerprinted, and the bytes of the few certificates that a
signature names are handed out. That is only a search: whether a certificate is good is for the verifier to say.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from rebuilder.errors import ConfigurationError, HostileInput
from rebuilder.model.digest import Digest
from rebuilder.world.files import read

KEYRING_LIMIT_BYTES = 256 * 1024**2

_PUBLIC_KEY = 6
_PUBLIC_SUBKEY = 14
_SECRET_PACKETS = frozenset({5, 7})
_ARMOR_BEGIN = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"
_ARMOR_END = b"-----END PGP PUBLIC KEY BLOCK-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """One file of certificates, and where in it each key's certificate lies."""

    name: str
    """The file's name, without its directory."""
    digest: Digest
    """Of the file."""
    path: Path
    places: dict[str, tuple[int, int]]
    """Where the certificate of each primary key or subkey (lower-case fingerprint) begins and ends, without armor."""

    @property
    def issuer(self) -> str:
        """How evidence names it."""
        return f"{self.name} {self.digest}"

    def certificates(self, handles: Iterable[str]) -> tuple[bytes, ...]:
        """Return the binary certificates that have a key with one of the fingerprints or 64-bit key ids."""
        wanted = tuple(handle.lower() for handle in handles)
        spans = {
            span for key, span in self.places.items() if any(key == each or key_id_of(key) == each for each in wanted)
        }
        if not spans:
            return ()
        data = _binary(read(self.path, limit_bytes=KEYRING_LIMIT_BYTES), self.path)
        return tuple(data[begin:end] for begin, end in sorted(spans))


def key_id_of(fingerprint: str) -> str:
    """Return the 64-bit key id: the end of a version 4 fingerprint, the beginning of a later one (RFC 9580, 5.5.4)."""
    return fingerprint[-16:] if len(fingerprint) == 40 else fingerprint[:16]


def load(path: Path) -> Keyring:
    """Index a keyring: certificates one after another, binary or each in its armor.

    Raise ConfigurationError if it is absent, empty, holds secret keys or is no keyring.
    """
    if not path.is_file():
        raise ConfigurationError(
            f"the keyring {path} is not there", hint="install debian-archive-keyring and debian-keyring"
        )
    status = path.stat()
    return _load(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=16)
def _load(path: Path, _modified_ns: int, _size: int) -> Keyring:
    """Index once a process, as long as the file keeps its time and size."""
    raw = read(path, limit_bytes=KEYRING_LIMIT_BYTES)
    try:
        places = _places(_binary(raw, path))
    except (HostileInput, IndexError) as error:
        raise ConfigurationError(
            f"{path} is not an OpenPGP keyring: {error}", hint="a keybox is not read; export it with gpg"
        ) from error
    if not places:
        raise ConfigurationError(f"the keyring {path} holds no certificate")
    return Keyring(name=path.name, digest=Digest.of(raw), path=path, places=places)


def _binary(raw: bytes, path: Path) -> bytes:
    """Take the armor off, if there is any (RFC 9580, 6.2)."""
    if _ARMOR_BEGIN not in raw[:65536]:
        return raw
    blocks = []
    for part in raw.split(_ARMOR_BEGIN)[1:]:
        _, _, body = part.partition(_ARMOR_END)[0].replace(b"\r", b"").partition(b"\n\n")
        lines = [line for line in body.split(b"\n") if line and not line.startswith(b"=")]
        try:
            blocks.append(base64.b64decode(b"".join(lines), validate=True))
        except binascii.Error as error:
            raise ConfigurationError(f"{path} has broken armor: {error}") from error
    return b"".join(blocks)


def _places(data: bytes) -> dict[str, tuple[int, int]]:
    places: dict[str, tuple[int, int]] = {}
    keys: list[str] = []
    begin = 0
    for tag, start, body, end in _packets(data):
        if tag in _SECRET_PACKETS:
            raise HostileInput("it holds secret keys")
        if tag == _PUBLIC_KEY:
            places.update((key, (begin, start)) for key in keys)
            keys, begin = [], start
        if tag in {_PUBLIC_KEY, _PUBLIC_SUBKEY} and (fingerprint := _fingerprint(data[body:end])):
            keys.append(fingerprint)
    places.update((key, (begin, len(data))) for key in keys)
    return places


def _fingerprint(body: bytes) -> str | None:
    """Fingerprint a key packet's body (RFC 9580, 5.5.4.2 and 5.5.4.3); None for versions that nobody should use."""
    if body[:1] == b"\x04":
        prefix = b"\x99" + len(body).to_bytes(2, "big")
        return hashlib.sha1(prefix + body, usedforsecurity=False).hexdigest()
    if body[:1] == b"\x06":
        return hashlib.sha256(b"\x9b" + len(body).to_bytes(4, "big") + body).hexdigest()
    return None


def _packets(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Walk packet headers (RFC 9580, 4.2): tag, where the packet starts, where its body starts and ends."""
    at = 0
    while at < len(data):
        header = data[at]
        if header & 0xC0 == 0xC0:
            tag, (body, length) = header & 0x3F, _new_length(data, at + 1)
        elif header & 0x80:
            tag, (body, length) = header >> 2 & 0x0F, _old_length(data, at + 1, header & 3)
        else:
            raise HostileInput(f"no packet at byte {at}")
        end = body + length
        if end > len(data):
            raise HostileInput(f"the packet at byte {at} ends after the file")
        yield tag, at, body, end
        at = end


def _new_length(data: bytes, at: int) -> tuple[int, int]:
    first = data[at]
    if first < 192:
        return at + 1, first
    if first < 224:
        return at + 2, ((first - 192) << 8) + data[at + 1] + 192
    if first == 255:
        return at + 5, int.from_bytes(data[at + 1 : at + 5], "big")
    raise HostileInput("a key packet of partial length")


def _old_length(data: bytes, at: int, kind: int) -> tuple[int, int]:
    if kind == 3:
        raise HostileInput("a key packet of indeterminate length")
    octets = 1 << kind
    return at + octets, int.from_bytes(data[at : at + octets], "big")
