"""A signing request: a directory with everything that the signer needs to check, and no evidence file itself.

context.json        the Context: attester, builder, ordinal, digests of the evidence files
dossier.json        canonical; all documents are derived from it
plan.json lock.json builder.dsse.json control.dsse.json others/<n>.dsse.json     as they will be published, if any
unsigned/<path>     payloads, byte for byte as they shall be signed
signed/<path>       written by the signer: the envelopes and links, at their place in the result directory
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rebuilder.attest.context import Context
from rebuilder.attest.derive import derive
from rebuilder.attest.evidence_files import (
    BUILDER_RECORD,
    CONTROL_RECORD,
    DOSSIER,
    LOCK,
    PLAN,
    attached_files,
    other_record,
)
from rebuilder.attest.inventory import list_files
from rebuilder.errors import HostileInput
from rebuilder.model.codec import DOCUMENT_LIMIT_BYTES, parse, render
from rebuilder.model.dossier import Dossier
from rebuilder.world.files import read, storage_errors

CONTEXT, UNSIGNED, SIGNED = "context.json", "unsigned", "signed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A signing request as read: parsed, canonical, and nothing more; `signer` judges it."""

    context: Context
    dossier: Dossier
    attached: dict[str, bytes]
    """`plan.json`, `lock.json` and the builders' records, those that are there."""
    unsigned: dict[str, bytes]


def write_records(
    result: Path,
    dossier: Dossier,
    *,
    builder_record: bytes | None,
    control_record: bytes | None,
    other_records: Sequence[bytes] = (),
) -> None:
    """Write a dossier, its plan and lock, and the builders' signed records into a staged result directory."""
    files = {
        DOSSIER: render(dossier),
        PLAN: render(dossier.plan) if dossier.plan is not None else None,
        LOCK: render(dossier.lock) if dossier.lock is not None else None,
        BUILDER_RECORD: builder_record,
        CONTROL_RECORD: control_record,
        **{other_record(number): record for number, record in enumerate(other_records, start=1)},
    }
    for name, data in files.items():
        if data is not None:
            write_document(result / name, data)


def write_request(directory: Path, result: Path, dossier: Dossier, context: Context) -> None:
    """Ask for signatures on a staged result directory (see `write_records` and `evidence_files.list_documents`)."""
    for name in attached_files(dossier):
        if (result / name).is_file():
            write_document(directory / name, read(result / name, limit_bytes=DOCUMENT_LIMIT_BYTES))
    for document in derive(dossier, context):
        write_document(directory / UNSIGNED / document.place.path, document.payload)
    write_document(directory / DOSSIER, render(dossier))
    write_document(directory / CONTEXT, render(context))


def write_document(path: Path, data: bytes) -> None:
    """Write a file of a request or of a staged result; neither outlives a crash, so nothing is synced here."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def load_request(directory: Path) -> Request:
    """Read a signing request; raise HostileInput for a document that is not in canonical form."""
    context_bytes = read(directory / CONTEXT, limit_bytes=DOCUMENT_LIMIT_BYTES)
    context = parse(context_bytes, Context)
    if render(context) != context_bytes:
        raise HostileInput("context.json is not in canonical form")
    if not (directory / DOSSIER).is_file():
        raise HostileInput(
            f"{DOSSIER} is missing from the signing request",
            hint="the request is incomplete: copy its directory again, whole",
        )
    dossier = parse_dossier(read(directory / DOSSIER, limit_bytes=DOCUMENT_LIMIT_BYTES))
    names = [name for name in attached_files(dossier) if (directory / name).exists()]
    paths = list_files(directory / UNSIGNED)
    return Request(
        context=context,
        dossier=dossier,
        attached={name: read(directory / name, limit_bytes=DOCUMENT_LIMIT_BYTES) for name in names},
        unsigned={path: read(directory / UNSIGNED / path, limit_bytes=DOCUMENT_LIMIT_BYTES) for path in paths},
    )


def parse_dossier(data: bytes) -> Dossier:
    """Read a dossier; raise HostileInput unless it is in canonical form."""
    dossier = parse(data, Dossier)
    if render(dossier) != data:
        raise HostileInput("dossier.json is not in canonical form (RFC 8785)")
    return dossier


def collect_signed(directory: Path, result: Path) -> tuple[str, ...]:
    """Copy what the signer wrote into the staged result directory; return the paths."""
    paths = list_files(directory / SIGNED)
    for path in paths:
        with storage_errors(result / path):
            (result / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(directory / SIGNED / path, result / path)
    return paths
