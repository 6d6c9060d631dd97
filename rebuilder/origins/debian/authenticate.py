"""Whether a release may be built from: every file of it is named by a signed index, and every byte is as named.

The chain, for a reader: archive keyring, InRelease, index, file. Each link is one piece of evidence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rebuilder.config import Settings
from rebuilder.errors import (
    DigestMismatch,
    NetworkFailure,
    SignatureRefused,
    SourceUnavailable,
    UntrustedError,
    WorldError,
)
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.evidence import Evidence, Standing
from rebuilder.model.release import FileReference, Release
from rebuilder.model.trust import Trust
from rebuilder.origins.debian import indices, source
from rebuilder.origins.debian.download import Downloader
from rebuilder.origins.debian.index import IndexFile, find_binaries_of, find_sources
from rebuilder.origins.debian.view import SuiteView
from rebuilder.progress import Progress
from rebuilder.store.blobs import BlobStore

LOCAL = "local-file"
"""Scheme of the evidence about an artifact that somebody gave as a file of theirs."""
MIRROR = "apt-mirror"
"""Scheme of the evidence about a mirror that served other bytes than were signed for."""
REQUIRE = "require"
"""The policy word for a signature that must be there and valid."""

_NOT_FETCHED = "the file itself: nothing was downloaded (dry run)"

Failure = UntrustedError | WorldError


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What authentication works with."""

    settings: Settings
    blobs: BlobStore
    downloader: Downloader
    progress: Progress


def authenticate(release: Release, view: SuiteView, desk: Desk, *, download: bool) -> Trust:
    """Check a release against the signed indices of its suites, and let the policy judge.

    1. Each reference artifact and each source file is named by an index of `view`, with this size and digest.
    2. Their bytes are brought here and are those (not with `download=False`: then the evidence says so).
    3. The .dsc agrees with the source index about what the source consists of.
    4. The .dsc's own signature is looked at; policy says whether it must be a known developer's.

    A release that fails is returned as refused, with a cause. Raised are only faults of this machine: its settings, its
    disk.
    """
    evidence = list(release.evidence)
    policy = Digest.of(codec.render(desk.settings.policy))
    try:
        for piece in _checked(release, view, desk, download=download):
            evidence.append(piece)  # noqa: PERF402 - what was found before a refusal is kept
    except (UntrustedError, NetworkFailure, SourceUnavailable) as failure:
        return Trust(accepted=False, reason=str(failure), cause=failure.cause, policy=policy, evidence=tuple(evidence))
    local = [file.filename for file in _references(release) if file.location is None]
    files = f"{len(_references(release)) - len(local)} artifact(s) and {len(release.sources)} source file(s)"
    how = "have the bytes that the signed indices name" if download else "are named by signed indices; none was fetched"
    how += f"; {', '.join(local)} is a local file, is not the published one, and nobody vouches for it" if local else ""
    return Trust(accepted=True, reason=f"{files} {how}", cause=None, policy=policy, evidence=tuple(evidence))


def _checked(release: Release, view: SuiteView, desk: Desk, *, download: bool) -> Iterator[Evidence]:
    if not release.sources:
        raise SourceUnavailable(
            f"no signed source index lists {release.name} {release.version}",
            hint="the suites have moved on; a snapshot archive has it",
        )
    # 1.
    published = [file for file in _references(release) if file.location is not None]
    yield from (_given(file) for file in _references(release) if file.location is None)
    listed = {**_listed_artifacts(release, published, view), **_listed_sources(release, view)}
    files = (*published, *release.sources)
    # 2.
    failures: Sequence[Failure | None] = [None] * len(files)
    if download:
        failures = desk.downloader.attempt_all(files, desk.progress, release.target)
    for file, failure in zip(files, failures, strict=True):
        yield _file(file, listed[file], view, failure=failure, fetched=download)
    yield from (_mirror(note) for note in desk.downloader.notes)
    _raise_worst(files, failures, release.sources)
    # 3. and 4.
    yield from _dsc(release, desk)


def _references(release: Release) -> tuple[FileReference, ...]:
    return tuple(artifact.reference for artifact in release.artifacts if artifact.reference is not None)


def _listed_artifacts(
    release: Release, published: Sequence[FileReference], view: SuiteView
) -> dict[FileReference, IndexFile]:
    """Find for each published artifact the index that names it; raise DigestMismatch if none does."""
    known = {
        (stanza.package.filename, stanza.package.size_bytes, stanza.package.digest): index
        for index in reversed(view.packages_files())
        for stanza in find_binaries_of(index, release.name)
    }
    return {file: _index_of(file, known) for file in published}


def _listed_sources(release: Release, view: SuiteView) -> dict[FileReference, IndexFile]:
    known = {
        (file.filename, file.size_bytes, file.digest): index
        for index in reversed(view.sources_files())
        for stanza in find_sources(index, release.name)
        for file in stanza.files
        if stanza.version == release.version
    }
    return {file: _index_of(file, known) for file in release.sources}


def _index_of(file: FileReference, known: Mapping[tuple[str, int, Digest], IndexFile]) -> IndexFile:
    index = known.get((file.filename, file.size_bytes, file.digest))
    if index is None:
        raise DigestMismatch(
            f"{file.filename} ({file.digest}): no signed index of the suites names it",
            hint="the archive has moved on since the release was resolved; resolve it again",
        )
    return index


def _given(file: FileReference) -> Evidence:
    return Evidence(
        scheme=LOCAL,
        subject=file.filename,
        subject_digest=file.digest,
        outcome=Standing.NOT_CHECKED,
        reason="given as a local file: it is compared with the rebuild, and nobody vouches for it",
    )


def _file(
    file: FileReference, index: IndexFile, view: SuiteView, *, failure: Failure | None, fetched: bool
) -> Evidence:
    signed = view.evidence_of(index)
    outcome = Standing.VERIFIED
    if failure is not None:
        outcome = Standing.REFUSED if isinstance(failure, UntrustedError) else Standing.ABSENT
    return Evidence(
        scheme=indices.SCHEME,
        subject=file.filename,
        subject_digest=file.digest,
        outcome=outcome,
        reason=str(failure) if failure else f"named with this size and SHA-256 by {index.archive} {index.name}",
        signer=signed.signer,
        issuer=f"index {index.digest}",
        signed_at=signed.signed_at,
        document=index.document,
        not_checked=() if fetched else (_NOT_FETCHED,),
    )


def _mirror(note: str) -> Evidence:
    return Evidence(scheme=MIRROR, subject="a mirror", subject_digest=None, outcome=Standing.REFUSED, reason=note)


def _raise_worst(
    files: Sequence[FileReference], failures: Sequence[Failure | None], sources: Sequence[FileReference]
) -> None:
    """Raise what is to be said of the failures: wrong bytes first, then a missing source, then a missing artifact."""
    wrong = [failure for failure in failures if isinstance(failure, UntrustedError)]
    absent = [(file, failure) for file, failure in zip(files, failures, strict=True) if failure is not None]
    if wrong:
        raise wrong[0]
    for file, failure in sorted(absent, key=lambda pair: pair[0] not in sources):
        if isinstance(failure, SourceUnavailable) and file not in sources:
            raise NetworkFailure(f"no mirror has the published artifact: {failure}", hint=failure.hint)
        raise failure


def _dsc(release: Release, desk: Desk) -> Iterator[Evidence]:
    reference = next(file for file in release.sources if file.filename.endswith(".dsc"))
    if not desk.blobs.has(reference.digest):
        yield Evidence(
            scheme=source.SCHEME,
            subject=reference.filename,
            subject_digest=reference.digest,
            outcome=Standing.NOT_CHECKED,
            reason="it was not downloaded (dry run)",
        )
        return
    document = desk.blobs.get(reference.digest, limit_bytes=source.DSC_LIMIT_BYTES)
    dsc = source.parse_dsc(document, reference.filename)
    source.verify_agreement(dsc, release.name, release.version, release.sources)
    policy, keyrings = desk.settings.policy, desk.settings.debian.developer_keyrings
    found = source.judge_signature(document, reference, keyrings, second=policy.second_opinion)
    yield found
    if policy.dsc_signature == REQUIRE and found.outcome is not Standing.VERIFIED:
        raise SignatureRefused(
            f"{reference.filename}: policy asks for a known developer's signature: {found.reason}",
            hint="is debian-keyring up to date? policy.dsc_signature = record accepts it",
        )
