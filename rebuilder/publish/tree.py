"""Publishing one result: documents first and all at once, then the pointer to it, then the pages.

1. Take the lock; delete what a killed run left.
2. Shared blobs, create-only.
3. The result's directory, written aside and renamed into place: whole or absent.
4. `latest.json`, badges, lists, pages, feed.

A run that is killed leaves the old or the new. If it dies in step 4 the marker `.pending` stays, and the next run makes
again what is derived from the packages that it names. Publishing the same result twice changes nothing; other bytes
under the same name are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rebuilder.errors import HostileInput, StorageFailure
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.withdrawal import FILE_NAME
from rebuilder.publish import layout, scan
from rebuilder.publish.pending import mark_pending
from rebuilder.publish.render import show
from rebuilder.publish.staging import Document, Step, document_digest, keep_going, staging
from rebuilder.store.blobs import BlobStore
from rebuilder.world.files import digest_of

DOCUMENTS_LIMIT = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """One result to be published."""

    dossier: Dossier
    rebuild_id: str
    """`<plan or release>-<builder key>-<ordinal>`, as the signed documents name it."""
    documents: Mapping[str, Document]
    """By name within the result's directory, `/` between parts: `links/<filename>/dsse/…`.
    `dossier.json`, `plan.json` and `lock.json` are added from the dossier."""


def publish(
    publication: Publication, root: Path, blobs: BlobStore, *, step: Step = keep_going, lists_too: bool = True
) -> Path:
    """Publish one result and return its directory; the same result again is a no-op.

    Without `lists_too` the lists of everything are left to a later `render.render_pending`, or the next publication.

    Raises HostileInput for names that cannot be published, StorageFailure where the disk refuses, a blob is absent, or
    another result has the same name, DigestMismatch for a damaged blob. Whatever is raised, `root`
    shows what it showed.
    """
    path = layout.result_path(publication.dossier, publication.rebuild_id)
    documents = _all_documents(publication)
    with staging(root, step) as area:
        if (root / path).exists():
            _verify_same(root, path, documents)
        else:
            for digest in layout.shared_blobs(publication.dossier):
                if blobs.has(digest):
                    area.keep_blob(layout.blob_path(digest), digest, blobs)
            mark_pending(area, [layout.package_path(publication.dossier)])
            area.write_tree(path, documents, blobs)
        show(area, scan.load(root, path), lists_too=lists_too)
    return root / path


def _verify_same(root: Path, path: PurePosixPath, documents: Mapping[PurePosixPath, Document]) -> None:
    """Raise StorageFailure unless the published directory holds exactly these documents."""
    hint = "results are append-only: publish under the next ordinal, or withdraw by a new document"
    published = set(scan.documents(root, path)) - {PurePosixPath(FILE_NAME)}  # a withdrawal comes later, or never
    for name in sorted(published ^ set(documents)):
        where = "published already, and not given now" if name in published else "given now, and not published then"
        raise StorageFailure(f"{path} is published with other documents: {name} is {where}", hint=hint)
    for name, document in documents.items():
        expected, found = document_digest(document), digest_of(root / path / name)
        if expected != found:
            raise StorageFailure(
                f"{path} is published with other bytes: {name}: expected {expected}, found {found}", hint=hint
            )


def _all_documents(publication: Publication) -> dict[PurePosixPath, Document]:
    dossier = publication.dossier
    documents: dict[str, Document] = dict(publication.documents)
    own = {"dossier.json": dossier, "plan.json": dossier.plan, "lock.json": dossier.lock}
    for name, value in own.items():
        if value is not None:
            _add_own(documents, name, _render_noun(value))
        elif name in documents:
            raise HostileInput(f"{name} is given, and the dossier has none")
    if FILE_NAME in documents:
        raise HostileInput(f"{FILE_NAME} is given: a result is published first, and withdrawn by itself")
    if len(documents) > DOCUMENTS_LIMIT:
        raise HostileInput(f"{len(documents)} documents in one result; at most {DOCUMENTS_LIMIT} are published")
    encoded = {layout.document_path(name): document for name, document in documents.items()}
    if len(encoded) < len(documents):
        raise HostileInput("two documents of one result would have the same file name")
    for path in encoded:
        if any(parent in encoded for parent in path.parents):
            raise HostileInput(f"{path} is inside another document")
    return dict(sorted(encoded.items()))


def _add_own(documents: dict[str, Document], name: str, data: bytes) -> None:
    given = documents.setdefault(name, data)
    if document_digest(given) != Digest.of(data):
        raise HostileInput(f"{name}: expected {Digest.of(data)} as in the dossier, found {document_digest(given)}")


def _render_noun(value: object) -> bytes:
    try:
        return codec.render(value)
    except ValueError as error:
        raise HostileInput("a dossier with text that is not Unicode cannot be published") from error
