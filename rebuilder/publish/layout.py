"""Where things lie under `results/`: paths as a pure function of what they hold.

`<ecosystem>/<name>/<version>/<architecture>/<rebuild id>/` holds the documents of one result. Each part is
percent-encoded (RFC 3986) so that hostile names cannot leave the directory, collide with our own files, hide behind a
leading dot, or exceed what a file system takes. Names go in raw and come out encoded; nothing decodes them again, for
every name is also inside `dossier.json`.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath
from urllib.parse import quote

from rebuilder.errors import HostileInput
from rebuilder.model import rebuild_id
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier

PART_LIMIT = 120
"""Characters of one encoded part; a longer one keeps its head and gains its hash."""

DEPTH_LIMIT = 6

DERIVED_NAMES = frozenset({"index.html", "badge.svg", "badge.json", "latest.json", "index.json", "feed.atom"})
"""Files that are regenerated from documents. No document can have such a name: `encode_part` never returns one."""

TOP_LEVEL_NAMES = frozenset({"blobs", "by-digest", "static", "README.md"})

_PLAIN = re.compile(r"(?!\.)[!-.0-\[\]-~]{1,200}\Z")
"""Printable ASCII without space, slash, backslash or a leading dot."""


def encode_part(part: str) -> str:
    """One path part, safe as a file name; raise HostileInput for an empty one or one that is not Unicode text."""
    if not part:
        raise HostileInput("an empty name cannot be published")
    try:
        raw = part.encode("utf-8")
    except UnicodeEncodeError as error:
        raise HostileInput(f"a name that is not Unicode text: {part[:80]!a}") from error
    encoded = quote(raw, safe="+~.-_")
    if encoded[0] == "." or encoded in TOP_LEVEL_NAMES or _is_ours(encoded):
        encoded = f"%{raw[0]:02X}{encoded[1:]}"
    if len(encoded) > PART_LIMIT:
        # `%~` is what no encoding emits, so that a short name cannot pose as a shortened one.
        encoded = f"{encoded[:80]}%~{hashlib.sha256(raw).hexdigest()[:32]}"
    return encoded


def document_path(name: str) -> PurePosixPath:
    """Return the path of a document inside its result directory; raise HostileInput where it would be too deep.

    Signed documents name their evidence by these paths, so plain parts stay as they are; others are encoded.
    """
    parts = name.split("/")
    if len(parts) > DEPTH_LIMIT:
        raise HostileInput(
            f"a document {len(parts)} directories deep: {name[:80]!a}; at most {DEPTH_LIMIT} are published"
        )
    return PurePosixPath(*(part if _is_plain(part) else encode_part(part) for part in parts))


def _is_plain(part: str) -> bool:
    return bool(_PLAIN.match(part)) and not _is_ours(part)


def _is_ours(part: str) -> bool:
    return part in DERIVED_NAMES or part.startswith("index-")


def verify_rebuild_id(dossier: Dossier, identifier: str) -> None:
    """Raise HostileInput unless an identifier names this dossier's plan, or its release where nothing was planned."""
    named = rebuild_id.parse(identifier)
    expected = rebuild_id.RebuildId.of(rebuild_id.subject_of(dossier), builder=named.builder, ordinal=named.ordinal)
    if named != expected:
        raise HostileInput(f"expected a rebuild id `{expected.stem}-<builder>-<ordinal>`, found {identifier!a}")


def package_path(dossier: Dossier) -> PurePosixPath:
    """`<ecosystem>/<name>`, relative to the results.

    What was concluded about a file that somebody holds lies apart: it never becomes a release's badge or history.
    """
    release = dossier.release
    ecosystem = f"local-{release.ecosystem}" if release.is_local else release.ecosystem
    return PurePosixPath(encode_part(ecosystem), encode_part(release.name))


def is_package(path: PurePosixPath) -> bool:
    """Whether a path could be a package's, relative to the results."""
    return len(path.parts) == 2 and path.parts[0] not in TOP_LEVEL_NAMES and all(map(_is_plain, path.parts))


def group_path(dossier: Dossier) -> PurePosixPath:
    """`<ecosystem>/<name>/<version>/<architecture>`: where `latest.json` points among rebuilds of the same thing."""
    version = dossier.plan.version if dossier.plan else dossier.release.version
    return package_path(dossier) / encode_part(version) / encode_part(dossier.architecture)


def result_path(dossier: Dossier, identifier: str) -> PurePosixPath:
    """Return the directory of one result, relative to the results."""
    verify_rebuild_id(dossier, identifier)
    return group_path(dossier) / identifier


def blob_path(digest: Digest) -> PurePosixPath:
    """Where a document that many results share is kept once."""
    return PurePosixPath("blobs", "sha256", digest.hex[:2], digest.hex)


def by_digest_path(digest: Digest) -> PurePosixPath:
    """Where a reader who holds a file finds what was concluded about it."""
    return PurePosixPath("by-digest", "sha256", f"{digest.hex}.json")


def shared_blobs(dossier: Dossier) -> tuple[Digest, ...]:
    """Signed indices, .dsc, .buildinfo: the documents in which claims were found, each once, sorted."""
    release = dossier.release
    found = {*release.indices, *(evidence.document for evidence in (*release.evidence, *dossier.trust.evidence))}
    found.add(release.buildinfo)
    return tuple(sorted(digest for digest in found if digest is not None))
