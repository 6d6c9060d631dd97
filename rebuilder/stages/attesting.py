"""attest and publish: from a dossier to signed documents in the results directory."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import zstandard

from rebuilder.attest import evidence_files
from rebuilder.attest.context import make_context, rebuild_id
from rebuilder.attest.evidence_files import list_documents, logs_of
from rebuilder.attest.inventory import list_files
from rebuilder.attest.keys import Role
from rebuilder.attest.keystore import ensure_key, passphrase_from_file
from rebuilder.attest.request import collect_signed, write_records, write_request
from rebuilder.attest.run_signer import SigningProcess
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.verdict import Verdict
from rebuilder.stages.attempt import Records
from rebuilder.stages.keys import builder_key
from rebuilder.stages.ordinals import next_ordinal
from rebuilder.stages.world import World
from rebuilder.store.blobs import BlobStore
from rebuilder.store.conclusions import PublishedDocument
from rebuilder.store.ledger import Ledger
from rebuilder.world.files import digest_of, storage_errors

LOG_LIMIT_BYTES = 256 * 1024**2


class Attester:
    """The signing process and the templates, made ready while the build runs: neither needs to know what comes of it.

    Leaving the context ends the process, whatever happened.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._signer = SigningProcess(state=world.settings.state)

    def __enter__(self) -> Self:
        threading.Thread(target=_load_templates, name="templates", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._signer.end()

    def attest(self, dossier: Dossier, records: Records) -> Path:
        """Have every document of a dossier signed by the signing process, publish them all, and record that.

        1. Evidence files and the builder's records are staged.
        2. The signer, a process of its own, derives every payload again, checks, and signs.
        3. Everything is published at once; the ledger learns of it last.
        """
        from rebuilder.publish.tree import Publication, publish  # noqa: PLC0415 - templates are slow to load

        world = self._world
        secret = world.settings.passphrase_file
        passphrase = passphrase_from_file(secret) if secret is not None else None
        with storage_errors(world.settings.state):
            world.settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)
            staging = tempfile.TemporaryDirectory(prefix="attest-", dir=world.settings.state)
        with staging as name:
            staged, request = Path(name, "result"), Path(name, "request")
            stage(dossier, records, staged, blobs=world.blobs, withhold=world.settings.policy.withhold_artifacts)
            context = make_context(
                ensure_key(world.settings.state, Role.ATTESTATION, passphrase=passphrase),
                builder_key(world),
                ordinal=_ordinal(dossier, world),
                accepts_equivalent=world.settings.policy.accept_equivalent,
                documents=list_documents(staged),
            )
            write_request(request, staged, dossier, context)
            self._signer.sign(request, passphrase=passphrase)
            signed = collect_signed(request, staged)
            documents = {path: staged / path for path in list_files(staged)}
            publication = Publication(dossier=dossier, rebuild_id=rebuild_id(dossier, context), documents=documents)
            directory = publish(publication, world.settings.results, world.blobs)
            found = {path: digest_of(directory / path) for path in signed if (directory / path).is_file()}
            place = directory.relative_to(world.settings.results).as_posix()
            record(dossier, place, found, key=context.attester, ledger=world.ledger)
        return directory


def _load_templates() -> None:
    from rebuilder.publish import templates  # noqa: PLC0415

    templates.load()


def stage(dossier: Dossier, records: Records, staged: Path, *, blobs: BlobStore, withhold: bool) -> None:
    """Put everything that is published about a dossier, but for what the signer signs, into a directory."""
    write_records(
        staged,
        dossier,
        builder_record=records.rebuild,
        control_record=records.control,
        other_records=records.others,
    )
    for path, run in logs_of(dossier).items():
        _put(staged / path, zstandard.compress(blobs.get(run.log, limit_bytes=LOG_LIMIT_BYTES), 10))
    for path, digest in _evidence_blobs(dossier, withhold=withhold).items():
        if blobs.has(digest):
            _put(staged / path, blobs.get(digest, limit_bytes=4 * 1024**3))


def _evidence_blobs(dossier: Dossier, *, withhold: bool) -> Mapping[str, Digest]:
    """Evidence files whose bytes are blobs: reports, the rebuild's .buildinfo, and both artifacts of a difference."""
    known = evidence_files.known_files(dossier)
    apart = {
        artifact.filename
        for artifact in dossier.comparison.artifacts
        if artifact.verdict in {Verdict.DIFFERENT, Verdict.EQUIVALENT}
    }

    def is_published(path: str) -> bool:
        root, _, name = path.partition("/")
        match root:
            case "reports":
                return True
            case "outputs":
                return name.endswith(".buildinfo")
            case "artifacts":
                return not withhold and name.partition("/")[2] in apart
            case _:
                return False

    return {path: digest for path, digest in known.items() if digest is not None and is_published(path)}


def record(dossier: Dossier, place: str, signed: Mapping[str, Digest], *, key: str, ledger: Ledger) -> None:
    """Let the ledger know what was published at `place` below the results, and which documents `key` signed."""
    if dossier.release.is_local:
        return  # a file that somebody holds is no part of a release's history
    digest = ledger.record_comparison(dossier, place)
    documents = (
        PublishedDocument(
            path=f"{place}/{path}", filename=Path(path).parts[1], kind=Path(path).parts[0], key=key, digest=found
        )
        for path, found in signed.items()
    )
    ledger.record_attestations(digest, documents)


def _put(path: Path, data: bytes) -> None:
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _ordinal(dossier: Dossier, world: World) -> int:
    """Which attempt this is: of its plan, or of its release where nothing was run."""
    if dossier.rebuild is not None:
        return dossier.rebuild.ordinal
    return next_ordinal(dossier.plan if dossier.plan is not None else dossier.release, world)
