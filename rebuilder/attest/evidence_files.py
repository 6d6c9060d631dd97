"""Which evidence files may lie in a result directory, and which bytes the dossier says they have."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rebuilder.attest.context import Document, verify_path
from rebuilder.attest.inventory import list_files
from rebuilder.errors import DigestMismatch, HostileInput
from rebuilder.model.codec import render
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.rebuild import Rebuild
from rebuilder.world.files import digest_of, storage_errors

PLAN, LOCK = "plan.json", "lock.json"
BUILDER_RECORD, CONTROL_RECORD = "builder.dsse.json", "control.dsse.json"
BUILD_LOG, CONTROL_LOG = "logs/build.log.zst", "logs/control.log.zst"
DOSSIER = "dossier.json"
PAGE = "index.html"

_REPORTS = {
    "diffoscope-html": "diffoscope.html",
    "diffoscope-text": "diffoscope.txt",
    "diffoscope-json": "diffoscope.json",
}
SIGNED_ROOTS = ("attestations/", "links/", "unreproduced/")
"""Where signed documents are."""


def other_record(number: int) -> str:
    """Where the record of another builder's run is; the first of the dossier's `others` is number 1."""
    return f"others/{number}.dsse.json"


def other_log(number: int) -> str:
    """Where the log of another builder's run is, compressed."""
    return f"logs/other-{number}.log.zst"


def records_of(dossier: Dossier) -> dict[str, Rebuild]:
    """Every builder's record that a dossier has, by path, with what it must say."""
    runs = {BUILDER_RECORD: dossier.rebuild, CONTROL_RECORD: dossier.control}
    runs |= {other_record(number): run for number, run in enumerate(dossier.others, start=1)}
    return {path: run for path, run in runs.items() if run is not None}


def logs_of(dossier: Dossier) -> dict[str, Rebuild]:
    """Every log that may lie beside a dossier, by path, with the run that it is of."""
    runs = {BUILD_LOG: dossier.rebuild, CONTROL_LOG: dossier.control}
    runs |= {other_log(number): run for number, run in enumerate(dossier.others, start=1)}
    return {path: run for path, run in runs.items() if run is not None}


def attached_files(dossier: Dossier) -> tuple[str, ...]:
    """Evidence files that a signer reads: plan, lock, and the builders' records."""
    return (PLAN, LOCK, BUILDER_RECORD, CONTROL_RECORD, *(path for path in records_of(dossier) if "/" in path))


def known_files(dossier: Dossier) -> dict[str, Digest | None]:
    """Every evidence file that a dossier allows, by path, with the digest of its bytes.

    None for files whose bytes the dossier ties in another way: records by their signed payload, compressed logs by the
    digest of what they decompress to.
    """
    known: dict[str, Digest | None] = {}
    if dossier.plan is not None:
        known[PLAN] = Digest.of(render(dossier.plan))
    if dossier.lock is not None:
        known[LOCK] = Digest.of(render(dossier.lock))
    if dossier.rebuild is not None:
        known |= {f"outputs/{output.filename}": output.digest for output in dossier.rebuild.outputs}
    known |= dict.fromkeys([*records_of(dossier), *logs_of(dossier)])
    for comparison in dossier.comparison.artifacts:
        name = comparison.filename
        for kind, digest in comparison.reports:
            known[f"reports/{name}/{_REPORTS.get(kind, kind)}"] = digest
        if comparison.reference is not None:
            known[f"artifacts/reference/{name}"] = comparison.reference.digest
        if comparison.rebuilt is not None:
            known[f"artifacts/rebuilt/{name}"] = comparison.rebuilt.digest
    return known


def required_files(dossier: Dossier) -> frozenset[str]:
    """Evidence files without which a result cannot be checked at all; the others may be withheld."""
    pairs = ((PLAN, dossier.plan), (LOCK, dossier.lock))
    return frozenset({*records_of(dossier), *(path for path, value in pairs if value is not None)})


def derived_files(dossier: Dossier) -> frozenset[str]:
    """Files that are a pure function of the documents and prove nothing: the page, and one around each report."""
    reports = {f"reports/{one.filename}/{PAGE}" for one in dossier.comparison.artifacts if one.reports}
    return frozenset({PAGE, *reports})


def verify_documents(dossier: Dossier, documents: Iterable[Document]) -> None:
    """Raise unless every listed file is one that the dossier allows, with its digest, and none that is needed lacks."""
    known = known_files(dossier)
    listed = set()
    for document in documents:
        verify_path(document.path)
        if document.path not in known:
            raise HostileInput(f"{document.path} is not an evidence file of this rebuild")
        expected = known[document.path]
        if expected is not None and document.digest != expected:
            raise DigestMismatch(f"{document.path}: expected {expected}, found {document.digest}")
        listed.add(document.path)
    missing = required_files(dossier) - listed
    if missing:
        raise HostileInput(f"{', '.join(sorted(missing))}: not among the evidence files")


def list_documents(directory: Path) -> tuple[Document, ...]:
    """Hash the evidence files of a staged result directory: all but the dossier, signed documents and pages."""
    found = []
    for path in list_files(directory):
        if path == DOSSIER or path.endswith(PAGE) or path.startswith(SIGNED_ROOTS):
            continue
        with storage_errors(directory / path):
            size_bytes = (directory / path).stat().st_size
        found.append(Document(path=path, digest=digest_of(directory / path), size_bytes=size_bytes))
    return tuple(found)
