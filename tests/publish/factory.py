"""Dossiers of every kind, made of plausible and of hostile parts, and documents to publish beside them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import zstandard

from rebuilder.model import codec
from rebuilder.model.cause import Cause
from rebuilder.model.comparison import ArtifactComparison, Comparison, Finding, Stabilizer
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier, Variation
from rebuilder.model.evidence import Evidence, Standing
from rebuilder.model.plan import Environment, Fidelity, ImageLock, Package, Plan
from rebuilder.model.rebuild import Machine, Rebuild
from rebuilder.model.rebuild_id import RebuildId, render, subject_of
from rebuilder.model.release import Artifact, FileReference, Release
from rebuilder.model.trust import Trust
from rebuilder.model.verdict import Control, Outcome, Verdict
from rebuilder.publish.staging import Document
from rebuilder.publish.tree import Publication
from rebuilder.store.blobs import LocalBlobs

DAY = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
BUILDER = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
ATTESTER = "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"
ELF_BUILD_ID = Stabilizer(name="elf-build-id", version=1)

REPORT = b"""<!DOCTYPE html><html><head><style>td { font-family: monospace } .diffhunk { background: #eee }</style>
</head><body onload="document.title='owned'"><h1>diffoscope</h1>
<script>document.title='owned'; parent.document.title='owned'; top.document.body.dataset.owned='1'</script>
<table style="width: 1400px"><tr><td>Build ID: 1111</td><td>Build ID: 2222</td></tr></table></body></html>
"""


def digest(text: str) -> Digest:
    """Make a digest that is the same for the same word."""
    return Digest.of(text.encode("utf-8", "surrogatepass"))


def reference(filename: str, content: str) -> FileReference:
    """Make a file with a name and imagined content."""
    return FileReference(
        filename=filename,
        size_bytes=20_000 + len(content) * 731,
        digest=digest(content),
        location=f"pool/main/{filename}" if len(filename) < 200 else None,
        archive="debian",
    )


def sources(name: str) -> tuple[FileReference, ...]:
    """Two source files of a package."""
    stem = name[:60].replace("/", "_")
    return (reference(f"{stem}.dsc", name), reference(f"{stem}.orig.tar.gz", f"orig {name}"))


def package(name: str, version: str = "1.0-1") -> Package:
    """Make a package of an environment."""
    return Package(
        name=name,
        version=version,
        architecture="amd64",
        filename=f"{name}_{version}_amd64.deb",
        size_bytes=123_456,
        digest=digest(name),
    )


def environment(fidelity: Fidelity = Fidelity.INFERRED) -> Environment:
    """Make an environment with a handful of packages."""
    reasons = {
        Fidelity.EXACT: "Installed-Build-Depends of cjson_1.7.18-3.1_amd64.buildinfo, all 184 versions found.",
        Fidelity.INFERRED: "No .buildinfo was given: the suite's current state, with the buildds' defaults.",
    }
    names = ("cmake", "cmake-data", "debhelper", "dh-autoreconf", "gcc-14", "libjsoncpp26", "libuv1t64", "po-debconf")
    return Environment(
        fidelity=fidelity,
        reason=reasons[fidelity],
        architecture="amd64",
        image=digest("image"),
        lock=digest("lock"),
        packages=tuple(package(name) for name in names),
        variables=(("DEB_BUILD_OPTIONS", "parallel=2"), ("LC_ALL", "C.UTF-8"), ("TZ", "UTC")),
        build_path="/build/reproducible-path/cjson-1.7.18",
        hostname="rebuilder",
        user="builder",
    )


def plan(name: str = "cjson", version: str = "1.7.18-3.1", fidelity: Fidelity = Fidelity.INFERRED) -> Plan:
    """Make a plan to rebuild one package."""
    return Plan(
        ecosystem="deb",
        name=name,
        version=version,
        source_version=version,
        architecture="amd64",
        sources=sources(name),
        environment=environment(fidelity),
        recipe="deb/debian",
        recipe_digest=digest("recipe"),
        script="set -eu\ndpkg-source --no-check -x /input/*.dsc src\ncd src\ndpkg-buildpackage -us -uc -B\n",
    )


def lock() -> ImageLock:
    """Make a small base image."""
    return ImageLock(
        distribution="debian",
        suite="trixie",
        architecture="amd64",
        epoch=1_763_000_000,
        installer="mmdebstrap 1.3.5",
        packages=tuple(package(name) for name in ("base-files", "bash", "coreutils", "dpkg", "gcc-14-base", "libc6")),
    )


def evidence(*, refused: bool = False) -> tuple[Evidence, ...]:
    """Return the chain from a signed suite to a source."""
    return (
        Evidence(
            scheme="openpgp-inrelease",
            subject="dists/trixie/InRelease",
            subject_digest=digest("inrelease"),
            outcome=Standing.REFUSED if refused else Standing.VERIFIED,
            reason="The signature is by a key that is not in the keyring."
            if refused
            else "Signed by a key of the archive keyring, Date 2026-11-18 08:12 UTC is within the policy's bound.",
            signer="4CB50190207B4758A3F73A796ED0E7B82643E131",
            issuer="debian-archive-keyring.gpg",
            signed_at=DAY - timedelta(days=2),
            document=digest("inrelease"),
            not_checked=("revocation of the archive key", "freshness: the suite has no Valid-Until"),
        ),
        Evidence(
            scheme="apt-index",
            subject="libcjson1_1.7.18-3.1_amd64.deb",
            subject_digest=digest("deb"),
            outcome=Standing.NOT_CHECKED if refused else Standing.VERIFIED,
            reason="Its digest is the one in main/binary-amd64/Packages, which InRelease names.",
            document=digest("packages"),
        ),
        Evidence(
            scheme="openpgp-dsc",
            subject="cjson_1.7.18-3.1.dsc",
            subject_digest=digest("cjson"),
            outcome=Standing.ABSENT,
            reason="The signer's key is in none of the developer keyrings.",
            not_checked=("the uploader's signature",),
        ),
    )


def release(name: str = "cjson", version: str = "1.7.18-3.1", *, refused: bool = False) -> Release:
    """Make a Debian release with two artifacts."""
    stem = name[:60].replace("/", "_")
    return Release(
        target=f"pkg:deb/debian/{stem}@1.7.18-3.1?arch=source&distro=trixie",
        ecosystem="deb",
        distribution="debian",
        suite="trixie",
        name=name,
        version=version,
        artifacts=tuple(
            Artifact(
                name=part,
                version=version,
                architecture="amd64",
                filename=filename,
                reference=reference(filename, f"{version} {filename}"),
            )
            for part, filename in (
                (f"lib{name}1", f"lib{stem}1_amd64.deb"),
                (f"lib{name}-dev", f"lib{stem}-dev_amd64.deb"),
            )
        ),
        sources=sources(name),
        evidence=evidence(refused=refused),
        indices=(digest("inrelease"), digest("packages")),
    )


def finding(cause: Cause, path: str = "data.tar.xz/./usr/lib/x86_64-linux-gnu/libcjson.so.1.7.18/.text") -> Finding:
    """Make a finding with values on both sides."""
    return Finding(
        path=path,
        cause=cause,
        detail="The contents of the section differ.",
        reference=str(digest(f"a {path}")),
        rebuilt=str(digest(f"b {path}")),
    )


def comparison(of: Release, verdict: Verdict, causes: tuple[Cause, ...] = ()) -> Comparison:
    """Return the second artifact is reproduced, the first has the verdict."""
    first, second = (
        ArtifactComparison(
            filename=artifact.filename,
            verdict=Verdict.REPRODUCED,
            causes=(),
            reference=artifact.reference,
            rebuilt=replace(artifact.reference, location=None, archive=None) if artifact.reference else None,
        )
        for artifact in of.artifacts
    )
    changed = reference(first.filename, f"rebuilt {of.version} {first.filename}")
    match verdict:
        case Verdict.REPRODUCED:
            pass
        case Verdict.EQUIVALENT:
            note = replace(finding(Cause.BUILD_ID), removed_by=ELF_BUILD_ID, detail="The build-id note differs.")
            first = replace(
                first,
                verdict=verdict,
                causes=causes or (Cause.BUILD_ID,),
                rebuilt=changed,
                stabilizers=(ELF_BUILD_ID,),
                findings=(note, replace(note, path="data.tar.xz/md5sums")),
            )
        case Verdict.DIFFERENT:
            causes = causes or (Cause.PAYLOAD_CHANGED, Cause.BUILD_ID)
            first = replace(
                first,
                verdict=verdict,
                causes=causes,
                rebuilt=changed,
                findings=tuple(finding(cause) for cause in causes),
                control=Control.DETERMINISTIC,
                control_digest=changed.digest,
                reports=(("diffoscope-html", Digest.of(REPORT)),),
                report_notes=("diffoscope had no decompiler at hand.",),
            )
        case Verdict.UNDECIDED:
            causes = causes or (Cause.BUILD_FAILED,)
            first, second = (replace(item, verdict=verdict, causes=causes, rebuilt=None) for item in (first, second))
    return Comparison(rule="deb/1", artifacts=(first, second))


def rebuild(
    of: Plan, outputs: tuple[FileReference, ...], outcome: Outcome = Outcome.SUCCEEDED, ordinal: int = 0
) -> Rebuild:
    """Make a run that took three minutes."""
    return Rebuild(
        plan=Digest.of(codec.render(of)),
        builder=BUILDER,
        ordinal=ordinal,
        outcome=outcome,
        reason="" if outcome is Outcome.SUCCEEDED else "dpkg-buildpackage ended with exit status 2.",
        outputs=outputs,
        log=digest("log"),
        environment_tree=digest("tree"),
        fresh_environment=ordinal > 0,
        machine=Machine(kernel="6.1.0-32-amd64", cpu_model="AMD EPYC 7B13", engine="Docker 20.10.24"),
        started_at=DAY - timedelta(minutes=5),
        finished_at=DAY - timedelta(minutes=2),
    )


def dossier(
    verdict: Verdict = Verdict.REPRODUCED,
    *,
    name: str = "cjson",
    version: str = "1.7.18-3.1",
    day: int = 0,
    fidelity: Fidelity = Fidelity.INFERRED,
    causes: tuple[Cause, ...] = (),
) -> Dossier:
    """Make a whole dossier; `different` comes with its control rebuild, `undecided` with a failed build."""
    of, how = release(name, version), plan(name, version, fidelity)
    compared = comparison(of, verdict, causes)
    outputs = tuple(item.rebuilt for item in compared.artifacts if item.rebuilt)
    failed = verdict is Verdict.UNDECIDED
    run = rebuild(how, outputs, Outcome.FAILED if failed else Outcome.SUCCEEDED)
    return Dossier(
        release=of,
        architecture="amd64",
        trust=Trust(
            accepted=True,
            reason="Every required signature was verified.",
            cause=None,
            policy=digest("policy"),
            evidence=of.evidence,
        ),
        plan=how,
        lock=lock(),
        rebuild=run,
        control=rebuild(how, outputs, ordinal=1) if verdict is Verdict.DIFFERENT else None,
        comparison=compared,
        variations=(
            Variation(factor="clock", changed=(outputs[0].filename,), findings=("The build date is compiled in.",)),
        )
        if verdict is Verdict.DIFFERENT
        else (),
        tools=(("rebuilder", "0.1.0"), ("mmdebstrap", "1.3.5"), ("diffoscope", "240")),
        reason="dpkg-buildpackage ended with exit status 2: undefined reference to `sincos'." if failed else "",
        concluded_at=DAY + timedelta(days=day),
    )


def refused_dossier(name: str = "evil", version: str = "6.6-6") -> Dossier:
    """Make a release that policy refused: nothing was planned or built."""
    of = release(name, version, refused=True)
    trust = Trust(
        accepted=False,
        reason="InRelease is signed by a key that is not in the archive keyring.",
        cause=Cause.UNTRUSTED_INPUT,
        policy=digest("policy"),
        evidence=of.evidence,
    )
    return Dossier(
        release=of,
        architecture="amd64",
        trust=trust,
        plan=None,
        lock=None,
        rebuild=None,
        control=None,
        comparison=comparison(of, Verdict.UNDECIDED, (Cause.UNTRUSTED_INPUT,)),
        tools=(("rebuilder", "0.1.0"),),
        reason=trust.reason,
        concluded_at=DAY,
    )


def rebuild_id(of: Dossier, ordinal: int = 0) -> str:
    """Return the name of a result."""
    return render(RebuildId.of(subject_of(of), builder=BUILDER, ordinal=ordinal))


def envelope(kind: str) -> bytes:
    """Something with the shape of a signed statement."""
    signatures = [{"keyid": ATTESTER, "sig": "AAAA"}]
    return json.dumps(
        {"payloadType": "application/vnd.in-toto+json", "payload": kind, "signatures": signatures}
    ).encode()


def publication(of: Dossier, *, ordinal: int = 0, blobs: LocalBlobs | None = None) -> Publication:
    """Make a dossier with all the documents that usually lie beside it."""
    documents: dict[str, Document] = {"builder.dsse.json": envelope("rebuild")}
    log = "".join(f"[{line:>4}/400] Building C object CMakeFiles/cjson.dir/cJSON.c.o\n" for line in range(400))
    documents["logs/build.log.zst"] = zstandard.ZstdCompressor().compress(f"{log}<script>\n\x1b[31mred\n".encode())
    if of.control:
        documents["control.dsse.json"] = envelope("control")
        documents["logs/control.log.zst"] = documents["logs/build.log.zst"]
    for item in of.comparison.artifacts:
        name = item.filename
        for kind in ("verdict", "slsa-provenance", "slsa-vsa"):
            documents[f"attestations/{name}/{kind}.dsse.json"] = envelope(kind)
        folder = "links" if item.verdict is Verdict.REPRODUCED else "unreproduced"
        step = "rebuild" if item.verdict is Verdict.REPRODUCED else f"rebuild-{item.verdict}"
        for form in ("metablock", "dsse"):
            documents[f"{folder}/{name}/{form}/{step}.{ATTESTER[:8]}.link"] = envelope(form)
        if item.reports:
            documents[f"reports/{name}/diffoscope.html"] = blobs.put(REPORT) if blobs else REPORT
            documents[f"reports/{name}/diffoscope.txt"] = b"--- a\n+++ b\n"
            documents[f"artifacts/reference/{name}"] = b"published bytes"
            documents[f"artifacts/rebuilt/{name}"] = b"rebuilt bytes"
    return Publication(dossier=of, rebuild_id=rebuild_id(of, ordinal), documents=documents)


def blob_store(directory: Path) -> LocalBlobs:
    """Make a store that holds the signed indices under their right names."""
    store = LocalBlobs(directory)
    for text in ("inrelease", "packages"):
        store.put(text.encode())
    return store


def sample() -> list[tuple[Dossier, int]]:
    """(dossier, ordinal) of a small results directory with everything in it."""
    return [
        (dossier(Verdict.REPRODUCED, version="1.7.17-1", day=-20), 0),
        (dossier(Verdict.UNDECIDED, day=-3), 0),
        (dossier(Verdict.REPRODUCED, day=-2), 1),
        (dossier(Verdict.EQUIVALENT, name="bubblewrap", version="0.11.0-2", day=-1), 0),
        (dossier(Verdict.REPRODUCED, name="libssh2", version="1.11.1-1", day=-9), 0),
        (dossier(Verdict.DIFFERENT, name="libssh2", version="1.11.1-2", fidelity=Fidelity.EXACT, day=1), 0),
        (
            dossier(
                Verdict.DIFFERENT,
                name="libyaml-syck-perl",
                version="1.34-2+b4",
                causes=(Cause.DEPENDENCY_VERSION, Cause.BUILD_ID),
            ),
            0,
        ),
        (dossier(Verdict.UNDECIDED, name="munge", version="0.5.16-1"), 0),
        (refused_dossier(), 0),
    ]
