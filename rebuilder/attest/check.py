"""`rebuilder check`: a third party computes a published verdict again, offline, from the documents and its own key.

The key comes from the reader, never from beside the results. Every file of a result is tied to a signed digest, or is
a signed document itself, or is named as derived; nothing else may lie there, and nothing may be missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import zstandard

from rebuilder import __version__
from rebuilder.attest.check_report import CheckReport, Helpers
from rebuilder.attest.context import Context, rebuild_id
from rebuilder.attest.derive import places
from rebuilder.attest.evidence_files import (
    DOSSIER,
    attached_files,
    derived_files,
    known_files,
    logs_of,
)
from rebuilder.attest.inventory import list_files
from rebuilder.attest.keys import PublicKey
from rebuilder.attest.published import attester_key, load_context, load_payloads, read_document
from rebuilder.attest.quorum import quorum_lines
from rebuilder.attest.request import parse_dossier
from rebuilder.attest.verdict import not_checked
from rebuilder.attest.verify_request import verify_rebuild_documents
from rebuilder.attest.withdrawal import load_withdrawal
from rebuilder.errors import DigestMismatch, HostileInput, SignatureRefused
from rebuilder.model.comparison import ArtifactComparison
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.verdict import Verdict
from rebuilder.model.withdrawal import FILE_NAME as WITHDRAWAL
from rebuilder.world.files import digest_of, storage_errors

LOG_LIMIT_BYTES = 1024**3


def check(result: Path, keys: Sequence[PublicKey], *, helpers: Helpers | None = None) -> CheckReport:
    """Compute a published verdict again; raise UntrustedError at the first thing that does not hold.

    1. The dossier is read; the verdict statements are verified with the reader's keys, and give the context.
    2. A withdrawal, where there is one, is by the key that signed the result, and of this result.
    3. All documents are derived again; each is there, signed by the same key, and byte for byte the derived one;
       the builder's records, plan, lock and the verdicts' logic hold (as the signer checked them).
    4. Every evidence file that was signed for is there with its digest; logs decompress to the digest in the record.
    5. Nothing else lies in the directory but derived files.
    6. Where the files of an artifact are there, they are compared once more; where diffoscope's JSON is there, causes
       are inferred from it once more; where signed indices can be verified again, they are.
    """
    if not keys:
        raise SignatureRefused(
            "no key was given to check with", hint="give the rebuilder's public key, from a source that you trust"
        )
    given = helpers or Helpers()
    dossier = parse_dossier(read_document(result, DOSSIER))
    context = load_context(result, dossier, keys)
    key = attester_key(context, keys)
    withdrawal = load_withdrawal(result, dossier, context, key)
    payloads = load_payloads(result, places(dossier, context), key)
    attached = {name: read_document(result, name) for name in attached_files(dossier) if (result / name).exists()}
    verify_rebuild_documents(dossier, context, attached, payloads)
    _evidence(result, dossier, context)
    derived = _coverage(result, dossier, context, payloads.keys())
    verified, absent = _summary(dossier, context), list(_absent(dossier, context))
    not_seen = list(_rendered(result, dossier, derived, given))
    if withdrawal is None:
        not_seen.append("whether the result has been withdrawn since this copy of it was made")
    else:
        verified.append(f"withdrawn by attestation key {withdrawal.attester}, which signed it")
    _again(result, dossier, given, verified, not_seen)
    _inferred(result, dossier, given, verified, not_seen)
    _shared(dossier, given, verified, absent)
    _authentication(dossier, given, verified, not_seen)
    if result.resolve().name != rebuild_id(dossier, context):
        not_seen.append(f"the directory is not named {rebuild_id(dossier, context)}, as it was when published")
    notes = [note for comparison in dossier.comparison.artifacts for note in not_checked(dossier, context, comparison)]
    return CheckReport(
        rebuild_id=rebuild_id(dossier, context),
        dossier=dossier,
        verdict=dossier.verdict if withdrawal is None else Verdict.UNDECIDED,
        attester=context.attester,
        withdrawal=withdrawal,
        verified=tuple(verified),
        absent=tuple(absent),
        not_checked=tuple(dict.fromkeys([*not_seen, *notes])),
    )


def _evidence(result: Path, dossier: Dossier, context: Context) -> None:
    for document in context.documents:
        path = result / document.path
        if not path.is_file():
            raise HostileInput(f"{document.path} was signed for and is missing", hint="fetch the result again, whole")
        found = digest_of(path)
        if found != document.digest or path.stat().st_size != document.size_bytes:
            raise DigestMismatch(f"{document.path}: expected {document.digest}, found {found}")
    listed = {document.path for document in context.documents}
    for name, run in logs_of(dossier).items():
        if name in listed:
            found = _log_digest(result / name)
            if found != run.log:
                raise DigestMismatch(f"{name}: the builder's record says {run.log}, it decompresses to {found}")


def _log_digest(path: Path) -> Digest:
    hasher, size_bytes = hashlib.sha256(), 0
    reader = zstandard.ZstdDecompressor(max_window_size=2**27)
    try:
        with storage_errors(path), path.open("rb") as stream, reader.stream_reader(stream) as plain:
            while block := plain.read(1024 * 1024):
                size_bytes += len(block)
                if size_bytes > LOG_LIMIT_BYTES:
                    raise HostileInput(f"{path.name} decompresses to more than {LOG_LIMIT_BYTES} bytes")
                hasher.update(block)
    except zstandard.ZstdError as error:
        raise HostileInput(f"{path.name} is not a Zstandard stream") from error
    return Digest(hasher.hexdigest())


def _coverage(result: Path, dossier: Dossier, context: Context, signed: Iterable[str]) -> tuple[str, ...]:
    accounted = {DOSSIER, WITHDRAWAL, *(document.path for document in context.documents), *signed}
    rest = [path for path in list_files(result, whole=True) if path not in accounted]
    derived = derived_files(dossier)
    for path in rest:
        if path not in derived:
            raise HostileInput(f"{path}: no signed document speaks of this file", hint="remove it, or fetch again")
    return tuple(rest)


def _rendered(result: Path, dossier: Dossier, derived: Sequence[str], helpers: Helpers) -> Iterator[str]:
    """Compare pages with what this program renders; those of another version of it look different: not judged."""
    made_by = dict(dossier.tools).get("rebuilder")
    if helpers.rerender is None or made_by != __version__:
        yield from (f"{path}: derived, not checked" for path in derived)
        return
    fresh = helpers.rerender(result)
    for path in derived:
        if fresh.get(path) != read_document(result, path):
            raise HostileInput(f"{path} is not what the documents give", hint="do not read it; render it again")


def _again(result: Path, dossier: Dossier, helpers: Helpers, verified: list[str], not_seen: list[str]) -> None:
    for recorded in dossier.comparison.artifacts:
        name = recorded.filename
        reference, rebuilt = result / "artifacts/reference" / name, result / "artifacts/rebuilt" / name
        if recorded.verdict is Verdict.REPRODUCED or recorded.reference is None or recorded.rebuilt is None:
            continue
        if not reference.is_file() or not rebuilt.is_file():
            not_seen.append(f"{name}: the files are not here, so the comparison was not run again")
        elif helpers.recompare is None:
            not_seen.append(f"{name}: no comparison was run again")
        else:
            _same_answer(recorded, helpers.recompare(reference, rebuilt, recorded))
            verified.append(f"{name}: compared once more, with the same answer: {recorded.verdict}")


def _same_answer(recorded: ArtifactComparison, fresh: ArtifactComparison) -> None:
    name = recorded.filename
    if (fresh.verdict, set(fresh.stabilizers)) != (recorded.verdict, set(recorded.stabilizers)):
        raise HostileInput(f"{name}: published as {recorded.verdict}, but comparing again says {fresh.verdict}")
    places = {finding.path for finding in recorded.findings}
    if recorded.findings_omitted == 0 and any(finding.path not in places for finding in fresh.findings):
        raise HostileInput(f"{name}: comparing again finds a difference that was not published")


def _inferred(result: Path, dossier: Dossier, helpers: Helpers, verified: list[str], not_seen: list[str]) -> None:
    for recorded in dossier.comparison.artifacts:
        name, path = recorded.filename, f"reports/{recorded.filename}/diffoscope.json"
        if recorded.inference is None:
            continue
        fresh = None
        if helpers.reinfer is not None and (result / path).is_file():
            fresh = helpers.reinfer(read_document(result, path), recorded.inference.rule)
        if fresh is None:
            not_seen.append(f"{name}: which causes diffoscope's report points to was not inferred again")
        elif fresh != recorded.inference:
            raise HostileInput(f"{name}: diffoscope's report points to other causes than those that were published")
        else:
            verified.append(f"{name}: diffoscope's report points to the causes that are said to be inferred from it")


def _shared(dossier: Dossier, helpers: Helpers, verified: list[str], absent: list[str]) -> None:
    wanted = dict.fromkeys(dossier.release.indices)
    wanted |= dict.fromkeys(piece.document for piece in dossier.trust.evidence if piece.document is not None)
    if dossier.release.buildinfo is not None:
        wanted[dossier.release.buildinfo] = None
    found = 0
    for digest in wanted:
        path = helpers.blobs / "sha256" / digest.hex[:2] / digest.hex if helpers.blobs is not None else None
        if path is None or not path.is_file():
            absent.append(f"signed document {digest}: not among the shared blobs that were given")
        elif digest_of(path) != digest:
            raise DigestMismatch(f"shared blob {digest} holds other bytes than its name says")
        else:
            found += 1
    if found:
        verified.append(f"{found} signed indices and evidence documents have the digests that the dossier names")


def _authentication(dossier: Dossier, helpers: Helpers, verified: list[str], not_seen: list[str]) -> None:
    if helpers.reauthenticate is None:
        not_seen.append(
            "the signed indices were not verified again: how references were authenticated is the attester's word"
        )
    elif dossier.trust.accepted:
        verified += helpers.reauthenticate(dossier)


def _summary(dossier: Dossier, context: Context) -> list[str]:
    artifacts = len(dossier.comparison.artifacts)
    lines = [
        f"signed by attestation key {context.attester}",
        f"{artifacts} artifacts: verdicts follow from the digests, and every document from the dossier",
    ]
    if context.documents:
        lines.append(f"{len(context.documents)} evidence files have the digests that were signed for")
    if dossier.rebuild is not None:
        lines.append(
            f"the rebuild's record is signed by builder {dossier.rebuild.builder}, and is of the published plan"
        )
    return lines + quorum_lines(dossier, context)


def _absent(dossier: Dossier, context: Context) -> Iterator[str]:
    listed = {document.path for document in context.documents}
    apart = {Verdict.DIFFERENT, Verdict.EQUIVALENT}
    wanted = {one.filename for one in dossier.comparison.artifacts if one.verdict in apart}
    for path in sorted(known_files(dossier).keys() - listed):
        folder, _, name = path.rpartition("/")
        if folder == "outputs" and not name.endswith(".buildinfo"):
            continue
        if folder.startswith("artifacts") and name not in wanted:
            continue
        yield f"{path}: not published with this result"
