"""What a signer, or a reader, re-checks about a rebuild's documents before believing the dossier."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from rebuilder.attest.builder import verify_rebuild
from rebuilder.attest.consistency import verify_dossier
from rebuilder.attest.context import Context, Document, verify_builders
from rebuilder.attest.derive import derive
from rebuilder.attest.evidence_files import (
    BUILDER_RECORD,
    CONTROL_RECORD,
    LOCK,
    PLAN,
    other_record,
    records_of,
    verify_documents,
)
from rebuilder.errors import HostileInput
from rebuilder.model.codec import parse_json, render
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

VERDICT_NAME = "/verdict.dsse.json"
VERDICT_SCHEMA, WITHDRAWAL_SCHEMA = "verdict-v1", "withdrawal-v1"


def verify_rebuild_documents(
    dossier: Dossier, context: Context, attached: Mapping[str, bytes], unsigned: Mapping[str, bytes]
) -> None:
    """Raise unless documents, dossier and context agree with each other, down to the byte.

    1. plan.json and lock.json are the dossier's plan and lock.
    2. Each builder's record is signed by that builder's key in the context, no key is there twice, and says what the
       dossier says.
    3. The evidence files are those of the dossier, the attached ones with the listed digests.
    4. The dossier's verdicts follow from its facts.
    5. The payloads to sign are exactly the ones derived from dossier and context.
    """
    _same(attached.get(PLAN), render(dossier.plan) if dossier.plan is not None else None, PLAN)
    _same(attached.get(LOCK), render(dossier.lock) if dossier.lock is not None else None, LOCK)
    _records(dossier, context, attached)
    verify_documents(dossier, context.documents)
    _attached(context.documents, attached)
    verify_dossier(dossier)
    derived = {document.place.path: document.payload for document in derive(dossier, context)}
    _payloads(derived, unsigned)


def load_schemas() -> None:
    """Make ready what `verify_schema` wants, and loads the first time otherwise."""
    for schema in (VERDICT_SCHEMA, WITHDRAWAL_SCHEMA):
        _validator(schema)


def verify_schema(payload: bytes, name: str, schema: str = VERDICT_SCHEMA) -> None:
    """Raise HostileInput unless a statement satisfies the published JSON Schema."""
    from jsonschema import ValidationError  # noqa: PLC0415 - slow to load, and only signers and readers need it

    try:
        _validator(schema).validate(parse_json(payload))
    except ValidationError as error:
        where = "/".join(str(part) for part in error.absolute_path)
        raise HostileInput(
            f"{name}: {where or 'statement'} does not satisfy the schema: {error.message[:200]}"
        ) from error


def _records(dossier: Dossier, context: Context, attached: Mapping[str, bytes]) -> None:
    verify_builders(dossier, context)
    keys = {BUILDER_RECORD: context.builder_key, CONTROL_RECORD: context.control_key}
    keys |= {other_record(number): builder.key for number, builder in enumerate(context.others, start=1)}
    if len({key.pem for name, key in keys.items() if name != CONTROL_RECORD}) != 1 + len(context.others):
        raise HostileInput("two builders of the quorum have one key", hint="do not trust whoever put it together")
    runs = records_of(dossier)
    for name, key in keys.items():
        run, record = runs.get(name), attached.get(name)
        if run is None or record is None:
            _same(record, None if run is None else b"", name)
            continue
        if verify_rebuild(record, (key,)) != run:
            raise HostileInput(f"{name}: the builder signed another record than the dossier has")
    if context.control is not None and (dossier.control is None or context.control == context.builder):
        raise HostileInput("a builder of the control run is named, and it is the rebuild's, or there was none")
    if dossier.rebuild is not None and dossier.rebuild.ordinal != context.ordinal:
        raise HostileInput(
            f"ordinal {context.ordinal} is asked for, the builder's record says {dossier.rebuild.ordinal}"
        )


def _attached(documents: tuple[Document, ...], attached: Mapping[str, bytes]) -> None:
    listed = {document.path: document for document in documents}
    for name, data in attached.items():
        document = listed.get(name)
        if document is None or (document.digest, document.size_bytes) != (Digest.of(data), len(data)):
            raise HostileInput(f"{name} is not the file that the context lists")


def _payloads(derived: Mapping[str, bytes], unsigned: Mapping[str, bytes]) -> None:
    if derived.keys() != unsigned.keys():
        odd = sorted(derived.keys() ^ unsigned.keys())
        raise HostileInput(f"documents to sign: {odd[0]} is {'missing' if odd[0] in derived else 'not derived'}")
    for path, payload in derived.items():
        if unsigned[path] != payload:
            raise HostileInput(f"{path}: {first_difference(payload, unsigned[path])}")


def first_difference(expected: bytes, found: bytes) -> str:
    """Name the first member in which a JSON document is not the expected one."""
    try:
        return _difference(json.loads(expected), parse_json(found), "")
    except (HostileInput, ValueError):
        return "not the JSON that follows from the dossier"


def _difference(expected: Any, found: Any, where: str) -> str:  # noqa: ANN401 - plain JSON data
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted(expected.keys() | found.keys()):
            if expected.get(key) != found.get(key) or (key in expected) != (key in found):
                return _difference(expected.get(key), found.get(key), f"{where}/{key}")
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for place, (left, right) in enumerate(zip(expected, found, strict=True)):
            if left != right:
                return _difference(left, right, f"{where}/{place}")
    return f"{where or 'document'}: the dossier says {_short(expected)}, the document {_short(found)}"


def _short(value: object) -> str:
    return repr(value)[:90]


def _same(found: bytes | None, expected: bytes | None, name: str) -> None:
    if found == expected:
        return
    if found is None:
        raise HostileInput(f"{name} is missing")
    raise HostileInput(f"{name} is not the one that the dossier speaks of")


@cache
def _validator(schema: str) -> Draft202012Validator:
    from jsonschema import Draft202012Validator  # noqa: PLC0415

    text = files("rebuilder.attest").joinpath(f"schema/{schema}.schema.json").read_text("utf-8")
    return Draft202012Validator(json.loads(text))
