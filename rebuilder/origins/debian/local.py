"""A .deb that a person has as a file: which release it claims to be of, and whether the signed index agrees."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from packageurl import PackageURL

from rebuilder.compare.readers.deb import CONTROL, read_deb_member
from rebuilder.errors import HostileInput, UnknownTarget, UsageError
from rebuilder.model.evidence import Evidence, Standing
from rebuilder.model.release import Artifact, FileReference, Release
from rebuilder.origins.debian.authenticate import LOCAL
from rebuilder.origins.debian.repository import control_fields
from rebuilder.origins.debian.stanza import ARCHITECTURE, check_name, check_version
from rebuilder.origins.debian.target import DebianTarget
from rebuilder.world.files import digest_of

_LIMIT_BYTES = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalDeb:
    """What a local .deb says of itself; nobody vouches for it."""

    path: Path
    name: str
    version: str
    architecture: str
    file: FileReference

    def target(self, suite: str) -> DebianTarget:
        """The release to look for in a suite."""
        return DebianTarget(suite=suite, name=self.name, version=self.version, architecture=self.architecture)


def read_local(path: Path) -> LocalDeb:
    """Read what a .deb says it is; raise HostileInput where it is none."""
    try:
        _, control = read_deb_member(path, "control", part=CONTROL, limit_bytes=_LIMIT_BYTES)
    except HostileInput as error:
        raise HostileInput(f"{path.name}: not a sound .deb: {error}", hint="was it downloaded whole?") from error
    fields = control_fields(control)
    try:
        name, version, architecture = (fields[key] for key in ("Package", "Version", "Architecture"))
    except KeyError as error:
        raise HostileInput(f"{path.name}: its control file has no field {error}") from error
    if not ARCHITECTURE.match(architecture):
        raise HostileInput(f"{path.name}: not an architecture: {architecture[:80]!r}")
    file = FileReference(filename=path.name, size_bytes=path.stat().st_size, digest=digest_of(path))
    try:
        name, version = check_name(name), check_version(version)
    except HostileInput as error:
        raise HostileInput(f"{path.name}: {error}", hint="its control file says so; dpkg refuses it too") from error
    return LocalDeb(path=path, name=name, version=version, architecture=architecture, file=file)


def with_local(release: Release, local: LocalDeb) -> Release:
    """Put a local file in the place of the published one, and say what the signed index thinks of it.

    Where the signed index names the same bytes, it is the published release, authenticated as ever. Otherwise the
    release keeps that artifact alone, its siblings are set aside, and the target names the file by its digest.
    Raise UnknownTarget when the release has no such artifact.
    """
    published = next((each for each in release.artifacts if _is_it(each, local)), None)
    if published is None:
        raise UnknownTarget(
            f"{local.path.name}: {release.name} {release.version} in {release.suite} has no package {local.name} "
            f"{local.version} for {local.architecture}",
            hint="name the suite that it is from with --suite",
        )
    signed = published.reference
    if signed is not None and signed.digest == local.file.digest:
        return replace(release, evidence=(*release.evidence, _same(local)))
    named = replace(local.file, filename=published.filename)
    return replace(
        release,
        aside=tuple(sorted({each.filename for each in release.artifacts} - {published.filename})),
        target=_target_of(local, release.suite),
        artifacts=(replace(published, reference=named),),
        evidence=(*release.evidence, _other(local, signed)),
    )


def suite_of(target: str, fallback: str | None) -> str:
    """The suite in which a local file is looked for: of `deb:SUITE/`, else the machine's own."""
    if target:
        suite = target.removeprefix("deb:").partition("/")[0]
        if suite:
            return suite
    if fallback is None:
        raise UsageError("a local artifact needs a suite to be looked for in", hint="--suite trixie")
    return fallback


def _target_of(local: LocalDeb, suite: str) -> str:
    """Name a file that is not the published one: the purl qualifier `checksum` keeps the two apart."""
    qualifiers = {"arch": local.architecture, "checksum": str(local.file.digest), "distro": suite}
    purl = PackageURL(type="deb", namespace="debian", name=local.name, version=local.version, qualifiers=qualifiers)
    return purl.to_string()


def _is_it(artifact: Artifact, local: LocalDeb) -> bool:
    return (artifact.name, artifact.version, artifact.architecture) == (local.name, local.version, local.architecture)


def _same(local: LocalDeb) -> Evidence:
    return Evidence(
        scheme=LOCAL,
        subject=local.path.name,
        subject_digest=local.file.digest,
        outcome=Standing.VERIFIED,
        reason="the local file has the bytes that a signed index names",
    )


def _other(local: LocalDeb, signed: FileReference | None) -> Evidence:
    said = f"the signed index names {signed.digest}" if signed else "no signed index names its bytes"
    return Evidence(
        scheme=LOCAL,
        subject=local.path.name,
        subject_digest=local.file.digest,
        outcome=Standing.REFUSED if signed else Standing.NOT_CHECKED,
        reason=f"the local file is not the published one: {said}; it is compared with the rebuild all the same",
        not_checked=(f"{local.path.name} is a file that somebody holds and that nobody vouches for",),
    )
