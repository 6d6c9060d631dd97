"""From a target to a release: which version a user of the suite is offered, its artifacts, and where its source is.

The binaries that are offered decide, for they are what is to be reproduced; the newest source may be ahead of them, or
in another suite of the family.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from debian.debian_support import Version

from rebuilder.errors import HostileInput, UnknownTarget
from rebuilder.model.evidence import Evidence, Standing
from rebuilder.model.release import Artifact, FileReference, Release
from rebuilder.origins.debian.index import IndexKind
from rebuilder.origins.debian.stanza import BinaryStanza, BuiltPackage, SourceStanza, file_version
from rebuilder.origins.debian.target import DebianTarget
from rebuilder.origins.debian.view import SuiteView

COVERAGE = "debian-coverage"
"""Scheme of the evidence that says what a release's artifacts leave out."""
ALL = "all"

_NEAR = 3


def resolve(target: DebianTarget, view: SuiteView) -> Release:
    """Say what was published under a target.

    A release without sources is one whose source version no index of the suites lists: `authenticate` refuses it as
    source-unavailable. Raise UnknownTarget, with names or versions that come near as a hint, and HostileInput when two
    signed indices name different bytes for one file.
    """
    source = target.name if target.is_source else _source_of(target, view)
    sources, binaries = view.sources_named(source), view.binaries_of(source)
    if not sources and not binaries:
        raise _unknown(target, view)
    version = _choose(target, sources, binaries)
    chosen = _of_version(target, version, binaries)
    stanza = next((each for each in sources if each.version == version), None)
    artifacts = (*chosen, *_unpublished(stanza, chosen, view.architecture))
    if not artifacts:
        raise UnknownTarget(f"{source} {version} builds no package for {view.architecture} in {target.suite}")
    return Release(
        target=DebianTarget(suite=target.suite, name=source, version=version).purl,
        ecosystem="deb",
        distribution="debian",
        suite=target.suite,
        name=source,
        version=version,
        artifacts=tuple(sorted(artifacts, key=lambda each: (each.architecture, each.name))),
        sources=_files(version, sources),
        evidence=(*view.evidence, _coverage(source, version, stanza, view.architecture)),
        indices=view.documents,
    )


def newest_offered(stanzas: Iterable[BinaryStanza]) -> tuple[BinaryStanza, ...]:
    """Return of each package the newest version, by Debian's order of versions (policy 5.6.12)."""
    newest: dict[str, BinaryStanza] = {}
    for stanza in stanzas:
        known = newest.setdefault(stanza.package.name, stanza)
        if Version(stanza.package.version) > Version(known.package.version):
            newest[stanza.package.name] = stanza
    return tuple(newest.values())


def is_built_on(built: BuiltPackage, architecture: str) -> bool:
    """Whether a source's package is built on an architecture of Debian's Linux (policy 11.1, wildcards)."""
    accepted = {"any", ALL, architecture, "linux-any", f"any-{architecture}", f"linux-{architecture}"}
    return not accepted.isdisjoint(built.architectures)


def _source_of(target: DebianTarget, view: SuiteView) -> str:
    """Name the source that the newest matching binary package was built from."""
    named = newest_offered(
        stanza
        for stanza in view.binaries_named((target.name,))
        if stanza.package.architecture == target.architecture and target.version in {None, stanza.package.version}
    )
    if not named:
        raise _unknown(target, view)
    return named[0].source


def _choose(target: DebianTarget, sources: Sequence[SourceStanza], binaries: Sequence[BinaryStanza]) -> str:
    """Choose the source version."""
    if not target.is_source:
        binaries = [stanza for stanza in binaries if stanza.package.name == target.name]
    if target.version is None:
        offered = [stanza.source_version for stanza in newest_offered(binaries)]
        return max(offered or [stanza.version for stanza in sources], key=Version)
    listed = {stanza.version for stanza in sources} | {stanza.source_version for stanza in binaries}
    if target.is_source and target.version in listed:
        return target.version
    matching = [stanza.source_version for stanza in binaries if stanza.package.version == target.version]
    if not matching:
        raise UnknownTarget(
            f"{target.name} has no version {target.version} in {target.suite}",
            hint=f"there: {', '.join(sorted(listed, key=Version))}; older ones need a snapshot archive",
        )
    return max(matching, key=Version)


def _of_version(target: DebianTarget, version: str, binaries: Sequence[BinaryStanza]) -> tuple[Artifact, ...]:
    """Return the artifacts of a source version: of each package the version asked for, else the newest binNMU."""
    groups: dict[tuple[str, str], list[BinaryStanza]] = {}
    for stanza in binaries:
        if stanza.source_version == version:
            groups.setdefault((stanza.package.name, stanza.package.architecture), []).append(stanza)
    return tuple(_artifact(group, target.version) for group in groups.values())


def _artifact(group: Sequence[BinaryStanza], wanted: str | None) -> Artifact:
    best = max(group, key=lambda stanza: (stanza.package.version == wanted, Version(stanza.package.version))).package
    places = [stanza.package for stanza in group if stanza.package.version == best.version]
    if any((place.digest, place.size_bytes) != (best.digest, best.size_bytes) for place in places):
        raise HostileInput(f"two signed indices name different bytes for {best.filename}")
    reference = FileReference(
        filename=best.filename,
        size_bytes=best.size_bytes,
        digest=best.digest,
        location=best.location,
        archive=best.archive,
        also=_elsewhere((best.archive, best.location), ((place.archive, place.location) for place in places)),
    )
    return Artifact(
        name=best.name,
        version=best.version,
        architecture=best.architecture,
        filename=best.filename,
        reference=reference,
    )


def _unpublished(stanza: SourceStanza | None, published: Sequence[Artifact], architecture: str) -> Iterator[Artifact]:
    """List what the source says it builds here and no index has: there is nothing to compare it with."""
    names = {artifact.name for artifact in published}
    for built in stanza.builds if stanza else ():
        if built.kind != "deb" or built.name in names:
            continue
        if not built.is_built_by_default or not is_built_on(built, architecture):
            continue
        own = ALL if built.architectures == (ALL,) else architecture
        version = next(
            (each.version for each in published if each.architecture == own), stanza.version if stanza else ""
        )
        filename = f"{built.name}_{file_version(version)}_{own}.deb"
        yield Artifact(name=built.name, version=version, architecture=own, filename=filename, reference=None)


def _files(version: str, sources: Sequence[SourceStanza]) -> tuple[FileReference, ...]:
    """Return the files of a source version, each with every place where an index lists its digest."""
    own = [stanza for stanza in sources if stanza.version == version]
    if not own:
        return ()
    names = {(file.filename, file.digest) for file in own[0].files}
    if any({(file.filename, file.digest) for file in stanza.files} != names for stanza in own):
        raise HostileInput(f"two signed indices name different files for the source {own[0].name} {version}")
    places = [file for stanza in sources for file in stanza.files]
    return tuple(
        replace(
            file,
            also=_elsewhere(
                (file.archive, file.location),
                ((place.archive, place.location) for place in places if place.digest == file.digest),
            ),
        )
        for file in own[0].files
    )


def _elsewhere(
    first: tuple[str | None, str | None], places: Iterable[tuple[str | None, str | None]]
) -> tuple[tuple[str, str], ...]:
    found = ((archive, location) for archive, location in places if archive and location)
    return tuple(place for place in dict.fromkeys(found) if place != first)


def _coverage(source: str, version: str, stanza: SourceStanza | None, architecture: str) -> Evidence:
    """Say what the list of artifacts leaves out, or that the source itself is missing."""
    name = f"{source} {version}"
    aside = ["debug symbol packages: the suites' indices do not list them"]
    if stanza is None:
        return Evidence(
            scheme=COVERAGE,
            subject=name,
            subject_digest=None,
            outcome=Standing.ABSENT,
            reason="no source index of the suites lists this source version",
            not_checked=tuple(aside),
        )
    installer = [built.name for built in stanza.builds if built.kind == "udeb" and is_built_on(built, architecture)]
    if installer:
        aside.append(f"installer packages: {', '.join(installer)}")
    return Evidence(
        scheme=COVERAGE,
        subject=name,
        subject_digest=stanza.dsc.digest,
        outcome=Standing.VERIFIED,
        reason=f"a source index lists it, in {stanza.archive} {stanza.suite}",
        not_checked=tuple(aside),
    )


def _unknown(target: DebianTarget, view: SuiteView) -> UnknownTarget:
    """Explain that there is no such package, with what the person may have meant."""
    stanzas = newest_offered(view.binaries_named((target.name,))) if target.is_source else ()
    if stanzas:
        source = stanzas[0].source
        return UnknownTarget(
            f"no source package {target.name} in {target.suite}",
            hint=f"{target.name} is built from the source {source}: ask deb:{target.suite}/{source}",
        )
    names = view.names(IndexKind.SOURCES if target.is_source else IndexKind.PACKAGES)
    near = difflib.get_close_matches(target.name, names, n=_NEAR, cutoff=0.75)
    kind = "source package" if target.is_source else f"{target.architecture} package"
    wanted = f"{target.name} {target.version}" if target.version and not target.is_source else target.name
    components = ", ".join(sorted({index.component for index in view.indices}))
    return UnknownTarget(
        f"no {kind} {wanted} in {target.suite} ({components})",
        hint=f"did you mean {' or '.join(near)}?"
        if near
        else "check the name, the suite and the components configured",
    )
