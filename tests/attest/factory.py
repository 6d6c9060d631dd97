"""Dossiers and whole result directories for tests, each consistent in itself and made without building anything."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rebuilder import __version__
from rebuilder.attest.builder import sign_rebuild
from rebuilder.attest.context import Context, make_context, rebuild_id
from rebuilder.attest.evidence_files import derived_files, list_documents
from rebuilder.attest.request import collect_signed, write_records, write_request
from rebuilder.attest.signer import sign_request
from rebuilder.attest.signing import KeySigner
from rebuilder.model.cause import Cause
from rebuilder.model.codec import render
from rebuilder.model.comparison import ArtifactComparison, Comparison, Finding, Stabilizer
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.evidence import Evidence, Standing
from rebuilder.model.plan import Environment, Fidelity, ImageLock, Package, Plan, Pulled
from rebuilder.model.rebuild import Machine, Rebuild
from rebuilder.model.release import Artifact, FileReference, Release
from rebuilder.model.trust import Trust
from rebuilder.model.verdict import Control, Outcome, Verdict

T0 = datetime(2026, 11, 24, 6, 0, 0, tzinfo=UTC)
T1 = datetime(2026, 11, 24, 6, 5, 0, tzinfo=UTC)
T2 = datetime(2026, 11, 24, 6, 6, 0, tzinfo=UTC)

BUILD_LOG = b"dpkg-buildpackage: info: source package sample\n" * 20
CONTROL_LOG = b"dpkg-buildpackage: info: once more\n"
REFERENCE = b"the published bytes of "
REBUILT = b"the rebuilt bytes of "
PAGE = b"<!doctype html><title>derived</title>"
BUILDINFO = b"Format: 1.0\nSource: sample\n"
ALL = {
    "sample": Verdict.REPRODUCED,
    "alike": Verdict.EQUIVALENT,
    "unknown": Verdict.UNDECIDED,
    "differs": Verdict.DIFFERENT,
}
"""One artifact of each verdict, by package name."""
STABILIZER = Stabilizer(name="elf-build-id", version=1)


def key_signer(seed: str) -> KeySigner:
    """Make a key that a name determines: tests need no randomness."""
    return KeySigner(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed.encode()).digest()))


ATTESTER = key_signer("attestation")
BUILDER = key_signer("builder")
OWNER = key_signer("owner")


def file_of(filename: str, data: bytes, location: str | None = None) -> FileReference:
    """Refer to bytes under a name."""
    return FileReference(filename=filename, size_bytes=len(data), digest=Digest.of(data), location=location)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A dossier and the bytes of the evidence files that lie beside its documents."""

    dossier: Dossier
    files: Mapping[str, bytes]


def dossier(verdicts: Mapping[str, Verdict] | None = None, *, epoch: bool = False) -> Sample:
    """Make a release with one artifact for each (package name, verdict); `reproduced` alone if none is named.

    `different` comes with a control run that gave the same difference, `undecided` lacks a reference.
    """
    chosen = dict(verdicts or {"sample": Verdict.REPRODUCED})
    version = "1:1.0-1" if epoch else "1.0-1"
    made = [_artifact(name, version, verdict) for name, verdict in chosen.items()]
    release = _release(version, tuple(artifact for artifact, _, _ in made))
    lock = _lock()
    plan = _plan(release, version, lock)
    outputs = [rebuilt for _, rebuilt, _ in made] + [file_of("sample_1.0-1_amd64.buildinfo", BUILDINFO)]
    rebuild = _rebuild(plan, tuple(outputs), ordinal=0, log=BUILD_LOG)
    needs_control = Verdict.DIFFERENT in chosen.values()
    control = _rebuild(plan, tuple(outputs), ordinal=1, log=CONTROL_LOG, fresh=True) if needs_control else None
    value = Dossier(
        release=release,
        architecture="amd64",
        trust=Trust(
            accepted=True,
            reason="every signature that the policy asks for is valid",
            cause=None,
            policy=Digest.of(b"policy"),
            evidence=release.evidence,
        ),
        plan=plan,
        lock=lock,
        rebuild=rebuild,
        control=control,
        comparison=Comparison(rule="deb/1", artifacts=tuple(comparison for _, _, comparison in made)),
        tools=(("rebuilder", __version__), ("diffoscope", "300")),
        concluded_at=T2,
    )
    return Sample(dossier=value, files=_files(value))


PULLED = f"127.0.0.1:5000/base@{Digest.of(b'a manifest')}"


def pulled() -> Dossier:
    """Make a dossier of a rebuild in a base image that was pulled."""
    value = dossier().dossier
    assert value.plan is not None
    assert value.lock is not None
    assert value.rebuild is not None
    image = value.plan.environment.image
    lock = replace(value.lock, installer="", pulled=Pulled(reference=PULLED, image=image))
    plan = replace(value.plan, environment=replace(value.plan.environment, lock=Digest.of(render(lock))))
    rebuild = replace(value.rebuild, plan=Digest.of(render(plan)))
    return replace(value, lock=lock, plan=plan, rebuild=rebuild)


def refused() -> Sample:
    """Make a release that the policy refused: not built, undecided, one artifact."""
    base = dossier().dossier
    trust = replace(base.trust, accepted=False, reason="InRelease: wrong key", cause=Cause.UNTRUSTED_INPUT)
    comparison = ArtifactComparison(
        filename="sample_1.0-1_amd64.deb",
        verdict=Verdict.UNDECIDED,
        causes=(Cause.UNTRUSTED_INPUT,),
        reference=base.release.artifacts[0].reference,
        rebuilt=None,
    )
    value = replace(
        base,
        trust=trust,
        plan=None,
        lock=None,
        rebuild=None,
        reason="InRelease is signed by a key that is not trusted",
        comparison=Comparison(rule="deb/1", artifacts=(comparison,)),
    )
    return Sample(dossier=value, files={})


def reference_bytes(filename: str) -> bytes:
    """Bytes of the published file of a sample."""
    return REFERENCE + filename.encode()


def rebuilt_bytes(filename: str, verdict: Verdict) -> bytes:
    """Bytes of the rebuilt file of a sample."""
    return reference_bytes(filename) if verdict is Verdict.REPRODUCED else REBUILT + filename.encode()


def _artifact(name: str, version: str, verdict: Verdict) -> tuple[Artifact, FileReference, ArtifactComparison]:
    filename = f"{name}_{version.partition(':')[2] or version}_amd64.deb"
    location = f"pool/main/s/sample/{filename}"
    reference = None if verdict is Verdict.UNDECIDED else file_of(filename, reference_bytes(filename), location)
    rebuilt = file_of(filename, rebuilt_bytes(filename, verdict))
    artifact = Artifact(name=name, version=version, architecture="amd64", filename=filename, reference=reference)
    comparison = ArtifactComparison(filename=filename, verdict=verdict, causes=(), reference=reference, rebuilt=rebuilt)
    match verdict:
        case Verdict.EQUIVALENT:
            finding = _finding("usr/bin/sample/.note.gnu.build-id", Cause.BUILD_ID, STABILIZER)
            comparison = replace(comparison, causes=(Cause.BUILD_ID,), stabilizers=(STABILIZER,), findings=(finding,))
        case Verdict.DIFFERENT:
            comparison = replace(
                comparison,
                causes=(Cause.PAYLOAD_CHANGED,),
                findings=(_finding("usr/bin/sample/.text", Cause.PAYLOAD_CHANGED, None),),
                control=Control.DETERMINISTIC,
                control_digest=rebuilt.digest,
                reports=(("diffoscope-html", Digest.of(b"<html></html>")), ("diffoscope-json", Digest.of(b"{}"))),
                report_notes=("diffoscope had no tool for one format",),
            )
        case Verdict.UNDECIDED:
            comparison = replace(comparison, causes=(Cause.NO_REFERENCE,))
        case _:
            pass
    return artifact, rebuilt, comparison


def _finding(path: str, cause: Cause, removed_by: Stabilizer | None) -> Finding:
    return Finding(
        path=f"data.tar.xz/./{path}",
        cause=cause,
        detail="bytes differ",
        reference="aa",
        rebuilt="bb",
        removed_by=removed_by,
    )


def _release(version: str, artifacts: tuple[Artifact, ...]) -> Release:
    sources = (
        file_of("sample_1.0-1.dsc", b"dsc", "pool/main/s/sample/sample_1.0-1.dsc"),
        file_of("sample_1.0.orig.tar.xz", b"orig", "pool/main/s/sample/sample_1.0.orig.tar.xz"),
    )
    index = Evidence(
        scheme="openpgp-inrelease",
        subject="InRelease",
        subject_digest=Digest.of(b"InRelease"),
        outcome=Standing.VERIFIED,
        reason="signed by the archive's key",
        signer="0" * 40,
        signed_at=T0,
        document=Digest.of(b"InRelease"),
        not_checked=("freshness: the suite has no Valid-Until",),
    )
    entries = tuple(
        Evidence(
            scheme="apt-index",
            subject=artifact.filename,
            subject_digest=artifact.reference.digest,
            outcome=Standing.VERIFIED,
            reason="listed in the signed Packages index",
        )
        for artifact in artifacts
        if artifact.reference is not None
    )
    return Release(
        target=f"pkg:deb/debian/sample@{version}?arch=source&distro=trixie",
        ecosystem="deb",
        distribution="debian",
        suite="trixie",
        name="sample",
        version=version,
        artifacts=artifacts,
        sources=sources,
        evidence=(index, *entries),
        indices=(Digest.of(b"InRelease"), Digest.of(b"Packages")),
    )


def _package(name: str) -> Package:
    return Package(
        name=name,
        version="1.0",
        architecture="amd64",
        filename=f"{name}_1.0_amd64.deb",
        size_bytes=4,
        digest=Digest.of(name.encode()),
    )


def _lock() -> ImageLock:
    return ImageLock(
        distribution="debian",
        suite="trixie",
        architecture="amd64",
        epoch=1_700_000_000,
        installer="mmdebstrap 1.5",
        packages=(_package("base-files"), _package("dpkg")),
    )


def _plan(release: Release, version: str, lock: ImageLock) -> Plan:
    return Plan(
        ecosystem="deb",
        name="sample",
        version=version,
        source_version=version,
        architecture="amd64",
        sources=release.sources,
        environment=Environment(
            fidelity=Fidelity.INFERRED,
            reason="the suite's current state",
            architecture="amd64",
            image=Digest.of(b"image"),
            lock=Digest.of(render(lock)),
            packages=(_package("debhelper"), _package("gcc")),
            variables=(("DEB_BUILD_OPTIONS", "parallel=2"), ("LC_ALL", "C.UTF-8")),
            build_path="/build/sample-1.0",
            hostname="rebuilder",
            user="builder",
        ),
        recipe="deb/dpkg-buildpackage",
        recipe_digest=Digest.of(b"recipe"),
        script="dpkg-buildpackage -us -uc -B\n",
    )


def _rebuild(
    plan: Plan, outputs: tuple[FileReference, ...], *, ordinal: int, log: bytes, fresh: bool = False
) -> Rebuild:
    return Rebuild(
        plan=Digest.of(render(plan)),
        builder=BUILDER.public_key.keyid,
        ordinal=ordinal,
        outcome=Outcome.SUCCEEDED,
        reason="",
        outputs=outputs,
        log=Digest.of(log),
        environment_tree=Digest.of(b"tree"),
        fresh_environment=fresh,
        machine=Machine(kernel="6.1.0", cpu_model="some processor", engine="docker 20.10"),
        started_at=T0,
        finished_at=T1,
    )


def _files(value: Dossier) -> dict[str, bytes]:
    compress = zstandard.ZstdCompressor().compress
    files = {"logs/build.log.zst": compress(BUILD_LOG), "outputs/sample_1.0-1_amd64.buildinfo": BUILDINFO}
    if value.control is not None:
        files["logs/control.log.zst"] = compress(CONTROL_LOG)
    for comparison in value.comparison.artifacts:
        name = comparison.filename
        if comparison.verdict in {Verdict.EQUIVALENT, Verdict.DIFFERENT}:
            files[f"artifacts/reference/{name}"] = reference_bytes(name)
            files[f"artifacts/rebuilt/{name}"] = rebuilt_bytes(name, comparison.verdict)
        if comparison.reports:
            files[f"reports/{name}/diffoscope.html"] = b"<html></html>"
            files[f"reports/{name}/diffoscope.json"] = b"{}"
    return files


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A result directory without signatures, and the request for them."""

    result: Path
    request: Path
    context: Context


def stage(
    root: Path, sample: Sample, *, ordinal: int = 0, accepts_equivalent: bool = True, builder: KeySigner = BUILDER
) -> Staged:
    """Do what the pipeline does before it asks for signatures."""
    result, request = root / "staged", root / "request"
    value = sample.dossier
    write_files(result, sample.files)
    write_records(
        result,
        value,
        builder_record=sign_rebuild(value.rebuild, builder) if value.rebuild else None,
        control_record=sign_rebuild(value.control, builder) if value.control else None,
    )
    context = make_context(
        ATTESTER.public_key,
        builder.public_key,
        ordinal=ordinal,
        accepts_equivalent=accepts_equivalent,
        documents=list_documents(result),
    )
    write_request(request, result, value, context)
    return Staged(result=result, request=request, context=context)


def sign(staged: Staged, journal: Path) -> tuple[str, ...]:
    """Sign a request in this process, with the builder's key enrolled."""
    return sign_request(staged.request, signer=ATTESTER, builders=(BUILDER.public_key,), journal=journal)


def publish(root: Path, sample: Sample) -> Path:
    """Make a complete result directory, named as it is published."""
    staged = stage(root, sample)
    sign(staged, root / "journal")
    collect_signed(staged.request, staged.result)
    for page in derived_files(sample.dossier):
        (staged.result / page).parent.mkdir(parents=True, exist_ok=True)
        (staged.result / page).write_bytes(PAGE)
    return staged.result.rename(root / rebuild_id(sample.dossier, staged.context))


def files_of(result: Path) -> list[str]:
    """Paths of all files of a result."""
    return sorted(str(path.relative_to(result)) for path in result.rglob("*") if path.is_file())


def write_files(directory: Path, files: Mapping[str, bytes]) -> None:
    """Write evidence files under a directory."""
    for path, data in files.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
