"""The signing step: each lie of a request is refused by its own message; the honest one is signed, once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rebuilder.attest.builder import sign_rebuild, verify_rebuild
from rebuilder.attest.envelope import REBUILD
from rebuilder.attest.envelope import sign as sign_envelope
from rebuilder.attest.request import load_request, write_request
from rebuilder.attest.signer import sign_request
from rebuilder.errors import (
    DigestMismatch,
    HostileInput,
    SignatureRefused,
    StorageFailure,
    UntrustedError,
)
from rebuilder.model.codec import render
from rebuilder.model.digest import Digest
from rebuilder.model.verdict import Verdict
from tests.attest.factory import ATTESTER, BUILDER, OWNER, Staged, dossier, refused, sign, stage

DIFFERENT = {"sample": Verdict.DIFFERENT}
VERDICT_FILE = "unsigned/attestations/sample_1.0-1_amd64.deb/verdict.dsse.json"


def rewrite(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    """Change a JSON document in place, canonically."""
    plain = json.loads(path.read_bytes())
    change(plain)
    path.write_bytes(render(plain))


def test_an_honest_request_is_signed(tmp_path: Path) -> None:
    """Every derived document gets its signed form, at its place."""
    staged = stage(tmp_path, dossier(DIFFERENT))
    paths = sign(staged, tmp_path / "journal")
    assert "unreproduced/sample_1.0-1_amd64.deb/dsse/rebuild-different.4dbd2c1e.link" in paths
    assert all((staged.request / "signed" / path).is_file() for path in paths)


def test_a_request_without_a_dossier_is_named_as_such(tmp_path: Path) -> None:
    """The hint is about the request, not about room on the disk."""
    staged = stage(tmp_path, dossier(DIFFERENT))
    (staged.request / "dossier.json").unlink()
    with pytest.raises(HostileInput, match=r"dossier\.json is missing from the signing request") as caught:
        load_request(staged.request)
    assert caught.value.hint == "the request is incomplete: copy its directory again, whole"


def test_a_refused_release_is_signed_for(tmp_path: Path) -> None:
    """Without a plan and a build there is still a verdict to sign."""
    assert len(sign(stage(tmp_path, refused()), tmp_path / "journal")) == 4


def test_signing_again_gives_the_same_documents(tmp_path: Path) -> None:
    """A crash after signing, or before, changes nothing: the same request gives the same bytes."""
    staged = stage(tmp_path, dossier())
    paths = sign(staged, tmp_path / "journal")
    before = {path: (staged.request / "signed" / path).read_bytes() for path in paths}
    name = next(path.name for path in (tmp_path / "journal").iterdir() if path.is_dir())
    (tmp_path / "journal" / name / "signed.json").unlink()
    assert sign(staged, tmp_path / "journal") == paths
    assert before == {path: (staged.request / "signed" / path).read_bytes() for path in paths}


def test_signed_documents_are_kept_for_keys_that_sign_differently_each_time(tmp_path: Path) -> None:
    """What was signed is handed out again, not signed anew."""
    staged = stage(tmp_path, dossier())
    sign(staged, tmp_path / "journal")
    kept = next((tmp_path / "journal").glob("*/signed.json"))
    rewrite(kept, lambda plain: plain.update(dict.fromkeys(plain, "aGVsbG8=")))
    for path in sign(staged, tmp_path / "journal"):
        assert (staged.request / "signed" / path).read_bytes() == b"hello"


def test_attack_second_set_of_documents_for_one_rebuild(tmp_path: Path) -> None:
    """The same rebuild with another conclusion is refused: one rebuild never has two different documents."""
    sign(stage(tmp_path / "a", dossier()), tmp_path / "journal")
    sample = dossier()
    later = replace(sample, dossier=replace(sample.dossier, reason="on second thoughts"))
    with pytest.raises(UntrustedError, match="was already signed for with other documents") as caught:
        sign(stage(tmp_path / "b", later), tmp_path / "journal")
    assert caught.value.hint == "a new attempt takes the next ordinal"


def test_a_damaged_journal_is_reported(tmp_path: Path) -> None:
    """A journal that cannot be read is never taken for an empty one."""
    staged = stage(tmp_path, dossier())
    sign(staged, tmp_path / "journal")
    next((tmp_path / "journal").glob("*/payloads.json")).write_text('{"a": 1}')
    with pytest.raises(StorageFailure, match="journal is damaged"):
        sign(staged, tmp_path / "journal")


def test_attack_request_for_another_attester(tmp_path: Path) -> None:
    """A request that names another attestation key than this signer's is refused."""
    staged = stage(tmp_path, dossier())
    with pytest.raises(SignatureRefused, match="the request names attestation key"):
        sign_request(staged.request, signer=OWNER, builders=(BUILDER.public_key,), journal=tmp_path / "j")


@pytest.mark.parametrize(
    ("builders", "message"), [((), "no builder key is enrolled"), ((OWNER.public_key,), "is not enrolled")]
)
def test_attack_builder_that_nobody_enrolled(tmp_path: Path, builders: tuple[object, ...], message: str) -> None:
    """A builder brings its own key in the request; only enrolled keys count, and none enrolled is a refusal."""
    staged = stage(tmp_path, dossier())
    with pytest.raises(SignatureRefused, match=message):
        sign_request(staged.request, signer=ATTESTER, builders=builders, journal=tmp_path / "j")  # type: ignore[arg-type]
    assert not (staged.request / "signed").exists()


def _resign(staged: Staged, name: str, record: bytes) -> None:
    """Put another record into a request and list it as its evidence file."""
    (staged.request / name).write_bytes(record)
    documents = tuple(
        replace(document, digest=Digest.of(record), size_bytes=len(record)) if document.path == name else document
        for document in staged.context.documents
    )
    context = replace(staged.context, documents=documents)
    (staged.result / name).write_bytes(record)
    write_request(staged.request, staged.result, load_request(staged.request).dossier, context)


def _record_by_a_stranger(staged: Staged) -> None:
    rebuild = load_request(staged.request).dossier.rebuild
    assert rebuild is not None
    record = sign_rebuild(replace(rebuild, builder=OWNER.public_key.keyid), OWNER)
    _resign(staged, "builder.dsse.json", record)


def _record_of_other_outputs(staged: Staged) -> None:
    rebuild = load_request(staged.request).dossier.rebuild
    assert rebuild is not None
    _resign(staged, "builder.dsse.json", sign_rebuild(replace(rebuild, outputs=()), BUILDER))


def _control_of_other_outputs(staged: Staged) -> None:
    control = load_request(staged.request).dossier.control
    assert control is not None
    _resign(staged, "control.dsse.json", sign_rebuild(replace(control, outputs=()), BUILDER))


def _unsigned_record(staged: Staged) -> None:
    rebuild = load_request(staged.request).dossier.rebuild
    _resign(staged, "builder.dsse.json", render({"payload": render(rebuild).decode(), "signatures": []}))


def _change_dossier(staged: Staged, **changes: object) -> None:
    """Have the coordinator lie in the dossier and derive everything from the lie."""
    request = load_request(staged.request)
    write_request(staged.request, staged.result, replace(request.dossier, **changes), staged.context)  # type: ignore[arg-type]


def _lie_about_the_verdict(staged: Staged) -> None:
    value = load_request(staged.request).dossier
    (comparison,) = value.comparison.artifacts
    lie = replace(comparison, verdict=Verdict.REPRODUCED, causes=(), findings=())
    _change_dossier(staged, comparison=replace(value.comparison, artifacts=(lie,)))


def _lie_about_the_rebuilt_digest(staged: Staged) -> None:
    value = load_request(staged.request).dossier
    (comparison,) = value.comparison.artifacts
    assert comparison.reference is not None
    assert value.rebuild is not None
    lie = replace(
        comparison, verdict=Verdict.REPRODUCED, causes=(), findings=(), rebuilt=comparison.reference, reports=()
    )
    rebuild = replace(value.rebuild, outputs=(comparison.reference, *value.rebuild.outputs[1:]))
    _change_dossier(staged, comparison=replace(value.comparison, artifacts=(lie,)), rebuild=rebuild)


def _list_a_foreign_file(staged: Staged) -> None:
    foreign = replace(staged.context.documents[0], path="artifacts/rebuilt/evil.deb")
    context = replace(staged.context, documents=tuple(sorted((*staged.context.documents, foreign))))
    write_request(staged.request, staged.result, load_request(staged.request).dossier, context)


def _list_other_bytes(staged: Staged, path: str) -> None:
    documents = tuple(
        replace(document, digest=Digest.of(b"evil")) if document.path == path else document
        for document in staged.context.documents
    )
    context = replace(staged.context, documents=documents)
    write_request(staged.request, staged.result, load_request(staged.request).dossier, context)


def _list_less(staged: Staged, path: str) -> None:
    documents = tuple(document for document in staged.context.documents if document.path != path)
    context = replace(staged.context, documents=documents)
    write_request(staged.request, staged.result, load_request(staged.request).dossier, context)


ATTACKS: dict[str, tuple[Callable[[Staged], object], type[Exception], str]] = {
    "record-signed-by-a-stranger": (_record_by_a_stranger, SignatureRefused, "signed by 0 of the keys"),
    "record-of-other-outputs": (_record_of_other_outputs, HostileInput, "builder signed another record"),
    "control-record-of-other-outputs": (_control_of_other_outputs, HostileInput, "builder signed another record"),
    "record-without-signature": (_unsigned_record, HostileInput, "an object with exactly"),
    "record-missing": (
        lambda staged: (staged.request / "builder.dsse.json").unlink(),
        HostileInput,
        "builder.dsse.json is missing",
    ),
    "plan-swapped": (
        lambda staged: rewrite(staged.request / "plan.json", lambda plan: plan.update(script="touch done")),
        HostileInput,
        "plan.json is not the one",
    ),
    "plan-missing": (
        lambda staged: (staged.request / "plan.json").unlink(),
        HostileInput,
        "plan.json is missing",
    ),
    "lock-swapped": (
        lambda staged: rewrite(staged.request / "lock.json", lambda lock: lock.update(suite="sid")),
        HostileInput,
        "lock.json is not the one",
    ),
    "verdict-does-not-follow": (_lie_about_the_verdict, HostileInput, "reproduced means equal digests"),
    "rebuilt-digest-is-not-the-builder's": (
        _lie_about_the_rebuilt_digest,
        HostileInput,
        "builder signed another record",
    ),
    "statement-changed": (
        lambda staged: rewrite(staged.request / VERDICT_FILE, lambda plain: plain["predicate"].update(causes=[])),  # type: ignore[attr-defined]
        HostileInput,
        r"/predicate/causes: the dossier says \['payload-changed'\], the document \[\]",
    ),
    "statement-added": (
        lambda staged: (staged.request / "unsigned/attestations/extra").write_bytes(b"{}"),
        HostileInput,
        "attestations/extra is not derived",
    ),
    "statement-left-out": (
        lambda staged: (staged.request / VERDICT_FILE).unlink(),
        HostileInput,
        "verdict.dsse.json is missing",
    ),
    "statement-that-is-not-json": (
        lambda staged: (staged.request / VERDICT_FILE).write_bytes(b"\xff"),
        HostileInput,
        "not the JSON that follows",
    ),
    "foreign-evidence-file": (_list_a_foreign_file, HostileInput, "not an evidence file of this rebuild"),
    "evidence-file-with-other-bytes": (
        lambda staged: _list_other_bytes(staged, "artifacts/rebuilt/sample_1.0-1_amd64.deb"),
        DigestMismatch,
        "artifacts/rebuilt/sample_1.0-1_amd64.deb: expected",
    ),
    "attached-file-with-other-bytes": (
        lambda staged: _list_other_bytes(staged, "builder.dsse.json"),
        HostileInput,
        "builder.dsse.json is not the file that the context lists",
    ),
    "record-not-listed": (
        lambda staged: _list_less(staged, "builder.dsse.json"),
        HostileInput,
        "builder.dsse.json: not among the evidence files",
    ),
    "ordinal-changed": (
        lambda staged: write_request(
            staged.request, staged.result, load_request(staged.request).dossier, replace(staged.context, ordinal=7)
        ),
        HostileInput,
        "ordinal 7 is asked for",
    ),
    "dossier-with-an-extra-member": (
        lambda staged: rewrite(staged.request / "dossier.json", lambda plain: plain.update(more=1)),
        HostileInput,
        "not a valid Dossier document",
    ),
    "dossier-in-another-spelling": (
        lambda staged: (staged.request / "dossier.json").write_bytes(
            (staged.request / "dossier.json").read_bytes() + b"\n"
        ),
        HostileInput,
        "not in canonical form",
    ),
    "context-in-another-spelling": (
        lambda staged: (staged.request / "context.json").write_bytes(
            (staged.request / "context.json").read_bytes() + b"\n"
        ),
        HostileInput,
        "context.json is not in canonical form",
    ),
    "context-with-a-private-key-in-the-builder's-place": (
        lambda staged: rewrite(staged.request / "context.json", lambda plain: plain.update(builder="x")),
        HostileInput,
        "one PEM block",
    ),
    "link-in-the-request": (
        lambda staged: (staged.request / "unsigned/link").symlink_to("/etc/passwd"),
        HostileInput,
        "neither a regular file nor a directory",
    ),
}


@pytest.mark.parametrize("name", [*ATTACKS])
def test_attack_request(tmp_path: Path, name: str) -> None:
    """Nothing is signed for a request that lies anywhere."""
    staged = stage(tmp_path, dossier(DIFFERENT))
    attack, error, message = ATTACKS[name]
    attack(staged)
    with pytest.raises(error, match=message):
        sign(staged, tmp_path / "journal")
    assert not (staged.request / "signed").exists()


def test_a_record_names_its_signer() -> None:
    """A builder cannot sign in another builder's name, neither when writing nor when read."""
    rebuild = dossier().dossier.rebuild
    assert rebuild is not None
    with pytest.raises(SignatureRefused, match="the record names builder"):
        sign_rebuild(rebuild, OWNER)
    forged = sign_envelope(render(rebuild), REBUILD, OWNER)
    with pytest.raises(SignatureRefused, match="the record names builder"):
        verify_rebuild(forged, (BUILDER.public_key, OWNER.public_key))
    assert verify_rebuild(sign_rebuild(rebuild, BUILDER), (BUILDER.public_key,)) == rebuild
