"""What the page of one result shows, put in order: values for the template, made from the documents alone."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rebuilder.attest.evidence_files import other_log
from rebuilder.errors import RebuilderError
from rebuilder.model import codec
from rebuilder.model.cause import Cause, in_reporting_order
from rebuilder.model.comparison import ArtifactComparison, Finding, Stabilizer
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.evidence import Evidence, Standing
from rebuilder.model.verdict import Control, Verdict
from rebuilder.publish import layout, scan
from rebuilder.publish.links import address, page_of, to_root
from rebuilder.publish.text import visible
from rebuilder.publish.words import is_compared
from rebuilder.world.files import digest_of, read

FINDINGS_SHOWN = 40
"""Of one cause in one artifact; the rest is in dossier.json, and the page says how many."""

_ENVELOPE_LIMIT_BYTES = 16 * 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingGroup:
    """An artifact's findings of one cause."""

    cause: Cause
    shown: tuple[Finding, ...]
    hidden: int
    removed_by: tuple[Stabilizer, ...]
    """The stabilizers under which all of these findings vanish; empty when one of them remains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactView:
    """One artifact, as the page shows it."""

    anchor: str
    comparison: ArtifactComparison
    groups: tuple[FindingGroup, ...]
    report: str | None
    """Address of the page around the diffoscope report."""
    text_report: str | None
    downloads: tuple[tuple[str, str], ...]
    """(words, address) of the published artifacts themselves."""

    @property
    def total_findings(self) -> int:
        """All findings, those left out of the dossier included."""
        return len(self.comparison.findings) + self.comparison.findings_omitted


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentView:
    """One published document."""

    name: str
    href: str
    kind: str
    size_bytes: int
    digest: Digest
    signers: tuple[str, ...]
    """Key ids that a signed document claims; the page verifies nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceView:
    """One piece of evidence, and where its document lies if it was kept."""

    evidence: Evidence
    href: str | None


def artifacts(root: Path, result: scan.Result) -> tuple[ArtifactView, ...]:
    """Return the artifacts, worst verdict first, then by name."""
    ordered = sorted(result.dossier.comparison.artifacts, key=lambda item: (-item.verdict.badness, item.filename))
    return tuple(_artifact(root / result.path, item, number) for number, item in enumerate(ordered, start=1))


def documents(root: Path, result: scan.Result) -> tuple[DocumentView, ...]:
    """Every document with its digest, in the order in which a reader wants them."""
    views = [_document(root / result.path, path) for path in scan.documents(root, result.path)]
    return tuple(sorted(views, key=lambda view: (view.name.count("/") > 0, view.name)))


def evidence(result: scan.Result) -> tuple[EvidenceView, ...]:
    """All evidence: the refused first, then as it was recorded, each once."""
    found: list[Evidence] = []
    for item in (*result.dossier.trust.evidence, *result.dossier.release.evidence):
        if item not in found:
            found.append(item)
    found.sort(key=lambda item: item.outcome is not Standing.REFUSED)
    return tuple(EvidenceView(evidence=item, href=blob_href(result, item.document)) for item in found)


def blob_href(result: scan.Result, digest: Digest | None) -> str | None:
    """Address of a shared blob from a result's page.

    Whether the blob was kept is not asked: another result may bring it later, and a page depends on its own result.
    """
    return to_root(result.path) + address(layout.blob_path(digest)) if digest else None


def not_checked(result: scan.Result) -> tuple[str, ...]:
    """Everything that a reader might assume was checked and was not, each once."""
    found = (note for item in result.dossier.trust.evidence for note in item.not_checked)
    return tuple(dict.fromkeys(visible(note) for note in found))


def stabilizers(dossier: Dossier) -> tuple[Stabilizer, ...]:
    """Those that were applied to any artifact."""
    applied = {stabilizer for artifact in dossier.comparison.artifacts for stabilizer in artifact.stabilizers}
    return tuple(sorted(applied, key=lambda stabilizer: (stabilizer.name, stabilizer.version)))


def controls(dossier: Dossier) -> tuple[str, ...]:
    """Say in a word or two what control rebuilds answered, each answer once; never none."""
    found = {artifact.control for artifact in dossier.comparison.artifacts} - {Control.NOT_NEEDED}
    nothing = "not needed" if is_compared(dossier) else "none"
    return tuple(sorted(answer.value.replace("-", " ") for answer in found)) or (nothing,)


def logs_of_others(root: Path, result: scan.Result) -> tuple[str, ...]:
    """Addresses of other builders' logs, those that are published."""
    places = (layout.document_path(other_log(number)) for number in range(1, len(result.dossier.others) + 1))
    return tuple(address(place) for place in places if (root / result.path / place).is_file())


def successor_href(root: Path, result: scan.Result) -> str | None:
    """Address of the result in favour of which this one was withdrawn, where it lies beside it."""
    named = result.withdrawal.superseded_by if result.withdrawal is not None else None
    if named is None or not (root / result.path.parent / named.rebuild_id / "dossier.json").is_file():
        return None
    return f"../{page_of(PurePosixPath(named.rebuild_id))}"


def check_command(result: scan.Result) -> str:
    """How a stranger computes the verdict again from the documents, with a key of their own choosing."""
    return f"rebuilder check --key rebuilder.pem {shlex.quote(f'results/{result.path}')}"


def replay_command(result: scan.Result) -> str:
    """How a stranger runs the rebuild again."""
    return f"rebuilder replay {shlex.quote(f'results/{result.path}')}"


def in_toto_commands(root: Path, result: scan.Result) -> tuple[str, ...]:
    """How a stock in-toto client checks each reproduced artifact, where links are published."""
    commands = []
    for artifact in result.dossier.comparison.artifacts:
        directory = result.path / layout.document_path(f"links/{artifact.filename}/metablock")
        if artifact.verdict is Verdict.REPRODUCED and (root / directory).is_dir():
            links = shlex.quote(f"results/{directory}")
            commands.append(f"in-toto-verify --layout rebuild.layout --verification-keys owner.pem --link-dir {links}")
    return tuple(commands)


def _artifact(base: Path, item: ArtifactComparison, number: int) -> ArtifactView:
    def published(name: str) -> str | None:
        path = layout.document_path(name)
        return address(path) if (base / path).is_file() else None

    report = published(f"reports/{item.filename}/diffoscope.html")
    copies = (
        ("published artifact", published(f"artifacts/reference/{item.filename}")),
        ("rebuilt artifact", published(f"artifacts/rebuilt/{item.filename}")),
    )
    return ArtifactView(
        anchor=f"artifact-{number}",
        comparison=item,
        groups=tuple(_groups(item.findings)),
        report=report and f"{report.rpartition('/')[0]}/index.html",
        text_report=published(f"reports/{item.filename}/diffoscope.txt"),
        downloads=tuple((words, href) for words, href in copies if href),
    )


def _groups(findings: Iterable[Finding]) -> Iterable[FindingGroup]:
    by_cause: dict[Cause, list[Finding]] = {}
    for finding in findings:
        by_cause.setdefault(finding.cause, []).append(finding)
    for cause in in_reporting_order(tuple(by_cause)):
        members = sorted(by_cause[cause], key=lambda finding: finding.removed_by is not None)
        removers = {finding.removed_by for finding in members}
        yield FindingGroup(
            cause=cause,
            shown=tuple(members[:FINDINGS_SHOWN]),
            hidden=max(0, len(members) - FINDINGS_SHOWN),
            removed_by=()
            if None in removers
            else tuple(sorted((remover for remover in removers if remover), key=lambda remover: remover.name)),
        )


def _document(base: Path, path: PurePosixPath) -> DocumentView:
    place = base / path
    return DocumentView(
        name=str(path),
        href=address(path),
        kind=_kind(path),
        size_bytes=place.stat().st_size,
        digest=digest_of(place),
        signers=_signers(place) if path.name.endswith(".dsse.json") else (),
    )


def _signers(place: Path) -> tuple[str, ...]:
    try:
        envelope = codec.parse_json(read(place, limit_bytes=_ENVELOPE_LIMIT_BYTES))
        signatures = envelope["signatures"]
        return tuple(str(signature["keyid"])[:128] for signature in signatures[:16])
    except (RebuilderError, KeyError, TypeError):
        return ()


def _kind(path: PurePosixPath) -> str:
    exact = _KINDS.get(path.name)
    if exact:
        return exact
    if path.name.endswith(".link"):
        return "in-toto link"
    return _FOLDERS.get(path.parts[0], "document")


_KINDS = {
    "dossier.json": "everything concluded, canonical JSON",
    "plan.json": "the plan; its SHA-256 is the plan id",
    "lock.json": "the base image as data",
    "withdrawal.dsse.json": "withdrawal of this result",
    "builder.dsse.json": "rebuild record, signed by the builder",
    "control.dsse.json": "control rebuild record, signed by the builder",
    "verdict.dsse.json": "verdict statement",
    "slsa-provenance.dsse.json": "SLSA provenance of the rebuild",
    "slsa-vsa.dsse.json": "SLSA verification summary",
    "build.log.zst": "build log, zstd",
    "control.log.zst": "log of the control rebuild, zstd",
    "diffoscope.html": "diffoscope report, raw",
    "diffoscope.txt": "diffoscope report, text",
    "diffoscope.json": "diffoscope report, JSON",
}

_FOLDERS = {
    "artifacts": "artifact",
    "outputs": "the rebuild's own .buildinfo",
    "reports": "report",
    "others": "another builder\u2019s rebuild record, signed by it",
    "logs": "log",
}
