"""The ledger made again from the published documents alone.

Every `dossier.json` under the results is read strictly and recorded as on the day it was concluded. What the documents
do not hold is not restored: the highest index dates, and names seen with other bytes.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rebuilder.errors import HostileInput, StorageFailure
from rebuilder.model.codec import DOCUMENT_LIMIT_BYTES, parse, parse_json
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.withdrawal import FILE_NAME, Withdrawal, read_predicate
from rebuilder.store.conclusions import PublishedDocument
from rebuilder.store.ledger import Ledger
from rebuilder.world.files import read, storage_errors

_KIND_OF_SUFFIX = {
    "verdict.dsse.json": "verdict",
    "slsa-provenance.dsse.json": "slsa-provenance",
    "slsa-vsa.dsse.json": "slsa-vsa",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a restoration found."""

    dossiers: int
    documents: int
    refused: tuple[str, ...]
    """One sentence for each file that was left out, with its reason."""


def rebuild_from(ledger: Ledger, results: Path) -> Restored:
    """Record every dossier under the results, oldest first; a file that is not acceptable is reported, not recorded."""
    found: list[tuple[Dossier, Path]] = []
    refused: list[str] = []
    for path in _dossiers(results):
        try:
            found.append((parse(read(path, limit_bytes=DOCUMENT_LIMIT_BYTES), Dossier), path.parent))
        except (HostileInput, StorageFailure) as error:
            refused.append(f"{path.relative_to(results)}: {error}")
    documents = 0
    for dossier, directory in sorted(found, key=lambda pair: pair[0].concluded_at):
        documents += _record(ledger, dossier, directory, results, refused)
    return Restored(dossiers=len(found), documents=documents, refused=tuple(refused))


def _dossiers(results: Path) -> Iterator[Path]:
    """`<ecosystem>/<name>/<version>/<arch>/<rebuild-id>/dossier.json`, and nothing that a link leads to."""
    with storage_errors(results):
        if not results.is_dir():
            raise StorageFailure(f"{results}: no such directory", hint="name the results with --results")
        for path in sorted(results.glob("*/*/*/*/*/dossier.json")):
            if path.is_file() and not path.is_symlink():
                yield path


def _record(ledger: Ledger, dossier: Dossier, directory: Path, results: Path, refused: list[str]) -> int:
    for rebuild in (dossier.rebuild, dossier.control, *dossier.others):
        if rebuild is not None:
            try:
                ledger.record_rebuild(rebuild)
            except HostileInput as error:
                refused.append(f"{directory.relative_to(results)}: {error}")
                return 0
    digest = ledger.record_comparison(dossier, directory.relative_to(results).as_posix())
    documents = []
    for path in sorted([*directory.glob("attestations/*/*.json"), *directory.glob("*/*/*/*.link")]):
        try:
            documents.append(_document(path, directory))
        except (HostileInput, StorageFailure) as error:
            refused.append(f"{path.relative_to(results)}: {error}")
    ledger.record_attestations(digest, documents)
    return len(documents) + _record_withdrawal(ledger, digest, directory, results, refused)


def _record_withdrawal(ledger: Ledger, dossier: Digest, directory: Path, results: Path, refused: list[str]) -> int:
    """Record the withdrawal of a result, if there is one; one that is not of this result is reported."""
    path = directory / FILE_NAME
    if not path.exists():
        return 0
    try:
        data = read(path, limit_bytes=DOCUMENT_LIMIT_BYTES)
        withdrawal = _withdrawal(parse_json(data))
        _verify_place(withdrawal, path, dossier)
    except (HostileInput, StorageFailure) as error:
        refused.append(f"{path.relative_to(results)}: {error}")
        return 0
    ledger.record_withdrawal(withdrawal, Digest.of(data))
    return 1


def _verify_place(withdrawal: Withdrawal, path: Path, dossier: Digest) -> None:
    if path.is_symlink():
        raise HostileInput("a link in the place of a document")
    if (withdrawal.dossier, withdrawal.rebuild_id) != (dossier, path.parent.name):
        raise HostileInput(f"it withdraws {withdrawal.rebuild_id}, not the result beside which it lies")


def _withdrawal(document: object) -> Withdrawal:
    """Read a withdrawal out of its envelope; as with all documents here, verifying it is for `rebuilder check`."""
    try:
        if isinstance(document, dict):
            withdrawal = read_predicate(parse_json(base64.b64decode(document["payload"], validate=True))["predicate"])
            if _key(document) == withdrawal.attester:
                return withdrawal
    except (LookupError, TypeError, ValueError) as error:
        raise HostileInput("not a withdrawal in an envelope") from error
    raise HostileInput("not signed by the key that it names")


def _document(path: Path, directory: Path) -> PublishedDocument:
    data = read(path, limit_bytes=DOCUMENT_LIMIT_BYTES)
    relative = path.relative_to(directory)
    return PublishedDocument(
        filename=relative.parts[1],
        kind=_KIND_OF_SUFFIX.get(path.name, f"link-{path.parent.name}"),
        key=_key(parse_json(data)),
        digest=Digest.of(data),
        path=relative.as_posix(),
    )


def _key(document: object) -> str:
    """Read the key id of the first signature of an envelope or a metablock."""
    if isinstance(document, dict):
        signatures = document.get("signatures")
        if isinstance(signatures, list) and signatures and isinstance(signatures[0], dict):
            return str(signatures[0].get("keyid", ""))
    raise HostileInput("no signature in the document")
