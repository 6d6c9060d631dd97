"""A reader verifies a published chain of trust again, offline: keyring, InRelease, index, digest.

Only the documents that were published beside the results are read, and only the reader's own keyring is trusted.
Freshness is not judged: the moment has passed, and the dossier says how fresh they were.
"""

from __future__ import annotations

import gzip
import lzma
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rebuilder.errors import DigestMismatch, HostileInput, UntrustedError
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.release import FileReference
from rebuilder.origins.debian import release_file
from rebuilder.origins.debian.index import IndexFile, IndexKind, find_binaries_of, find_sources
from rebuilder.origins.debian.mirrors import family
from rebuilder.origins.debian.release_file import IndexEntry, ReleaseFile
from rebuilder.trust import openpgp
from rebuilder.world.files import digest_of, read, storage_errors
from rebuilder.world.scratch import prefix as scratch_prefix

_INRELEASE_LIMIT_BYTES = 8 * 1024**2
_INDEX_LIMIT_BYTES = 1024**3
_BLOCK = 1024 * 1024
_OPENERS: Mapping[bytes, Callable[..., Any]] = {b"\xfd7zXZ": lzma.open, b"\x1f\x8b": gzip.open}
"""By the first bytes of the file."""


def reauthenticate(dossier: Dossier, blobs: Path, keyrings: Sequence[Path]) -> tuple[str, ...]:
    """Verify again that signed indices name every reference and every source file; say what was verified.

    1. Each InRelease among the published documents is signed by a key of `keyrings`, and of the dossier's suites.
    2. Each index among them has a digest that one of these InRelease files names.
    3. Each artifact's reference (unless it is a local file) and each source file is named by one of these indices.

    Raise UntrustedError where a step does not hold; return one sentence where the documents are not here.
    """
    documents = [_path(blobs, digest) for digest in dossier.release.indices]
    present = [path for path in documents if path.is_file()]
    if len(present) < len(documents):
        return ()
    # 1.
    releases = [_release(path, keyrings) for path in present if _is_release(path)]
    if not releases:
        raise UntrustedError("none of the published documents is a signed InRelease")
    _verify_suites(releases, dossier.release.suite)
    entries = {entry.digest: entry for release in releases for entry in release.entries.values()}
    # 2. and 3.
    wanted = {_identity(file): file for file in _wanted(dossier)}
    count = 0
    for path in present:
        if _is_release(path):
            continue
        found = _read_index(path, entries, dossier)
        count += 1
        wanted = {identity: file for identity, file in wanted.items() if identity not in found}
    if wanted:
        missing = next(iter(wanted.values()))
        raise DigestMismatch(f"{missing.filename} ({missing.digest}): none of the published signed indices names it")
    return (
        f"{len(releases)} InRelease files are signed by keys of the given archive keyring",
        f"{count} indices have the digests that these InRelease files name",
        _about_files(dossier),
    )


def _about_files(dossier: Dossier) -> str:
    if dossier.release.is_local:
        return "every source file has the size and SHA-256 that these indices name; the local file is named by none"
    return "every published artifact and every source file has the size and SHA-256 that these indices name"


def _verify_suites(releases: Sequence[ReleaseFile], suite: str) -> None:
    names = set(family(suite))
    for release in releases:
        if names.isdisjoint({release.suite, release.codename}):
            raise UntrustedError(
                f"an InRelease of {release.codename or release.suite} is published for a release of {suite}"
            )


def _release(path: Path, keyrings: Sequence[Path]) -> ReleaseFile:
    name = f"InRelease {path.name[:12]}"
    signed = openpgp.verify_inline(read(path, limit_bytes=_INRELEASE_LIMIT_BYTES), keyrings, name=name)
    return release_file.parse(signed.text, name)


def _is_release(path: Path) -> bool:
    with storage_errors(path), path.open("rb") as stream:
        return stream.read(16).startswith(b"-----BEGIN PGP ")


def _wanted(dossier: Dossier) -> Iterator[FileReference]:
    for artifact in dossier.release.artifacts:
        if artifact.reference is not None and artifact.reference.location is not None:
            yield artifact.reference
    yield from dossier.release.sources


def _read_index(path: Path, entries: dict[Digest, IndexEntry], dossier: Dossier) -> set[tuple[str, int, Digest]]:
    """What one index says about the dossier's release: name, size and digest of each file."""
    packed = digest_of(path)
    entry = entries.get(packed)
    if entry is None:
        raise DigestMismatch(f"index {packed}: none of the published signed InRelease files names it")
    name = entry.path.rpartition("/")[2].partition(".")[0]
    with tempfile.TemporaryDirectory(prefix=scratch_prefix("recheck")) as directory:
        plain = Path(directory, name)
        _unpack(path, plain)
        index = IndexFile(
            kind=_kind(name),
            path=plain,
            digest=digest_of(plain),
            document=packed,
            archive="",
            suite="",
            component="",
            architecture=None,
        )
        return set(_named(index, dossier))


def _kind(name: str) -> IndexKind:
    try:
        return IndexKind(name)
    except ValueError as error:
        raise HostileInput(f"a published document is {name[:40]!r}, which is no package index") from error


def _named(index: IndexFile, dossier: Dossier) -> Iterator[tuple[str, int, Digest]]:
    release = dossier.release
    if index.kind is IndexKind.SOURCES:
        for source in find_sources(index, release.name):
            yield from (_identity(file) for file in source.files)
        return
    for binary in find_binaries_of(index, release.name):
        if binary.source_version == release.version:
            yield binary.package.filename, binary.package.size_bytes, binary.package.digest


def _unpack(packed: Path, plain: Path) -> None:
    with packed.open("rb") as stream:
        head = stream.read(5)
    opener = next((opener for magic, opener in _OPENERS.items() if head.startswith(magic)), open)
    size = 0
    try:
        with storage_errors(plain), opener(packed, "rb") as source, plain.open("wb") as target:
            while block := source.read(_BLOCK):
                size += len(block)
                if size > _INDEX_LIMIT_BYTES:
                    raise HostileInput(f"index {packed.name} unpacks to more than {_INDEX_LIMIT_BYTES} bytes")
                target.write(block)
    except (lzma.LZMAError, zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise HostileInput(f"index {packed.name} cannot be decompressed: {error}") from error


def _identity(file: FileReference) -> tuple[str, int, Digest]:
    return file.filename, file.size_bytes, file.digest


def _path(blobs: Path, digest: Digest) -> Path:
    return blobs / "sha256" / digest.hex[:2] / digest.hex
