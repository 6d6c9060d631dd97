"""What a coordinator, or a builder, could say about a quorum that is not so: each lie has a name here."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rebuilder.attest.builder import sign_rebuild
from rebuilder.attest.consistency import verify_dossier
from rebuilder.attest.context import Builder
from rebuilder.attest.request import load_request, write_request
from rebuilder.errors import HostileInput, RebuilderError, SignatureRefused
from rebuilder.model.cause import Cause
from rebuilder.model.codec import render
from rebuilder.model.digest import Digest
from rebuilder.model.dossier import Dossier
from rebuilder.model.verdict import Verdict
from tests.attest.builders import (
    FILENAME,
    SECOND,
    agreeing,
    compared,
    disagreeing,
    failed,
    one,
    other_outputs,
    run_of,
    sign,
    stage,
    together,
)
from tests.attest.factory import BUILDER, Staged, dossier, file_of

STATEMENT = f"attestations/{FILENAME}/verdict.dsse.json"
PUBLISHED = one(dossier().dossier).rebuilt


def hidden() -> Dossier:
    """Say of a disagreement that it was reproduced, as the first builder has it."""
    return compared(disagreeing(), verdict=Verdict.REPRODUCED, causes=(), findings=(), rebuilt=PUBLISHED)


def pending() -> Dossier:
    """Make a dossier in which the second of two builders failed."""
    value = dossier().dossier
    return together(value, failed(value, SECOND))


def others(*changes: dict[str, object]) -> Dossier:
    """Make a dossier of agreeing builders, and change the other builders' runs."""
    value = agreeing()
    runs = (replace(run, **change) for run, change in zip(value.others, changes, strict=False))  # type: ignore[arg-type]
    return replace(value, others=tuple(runs))


def extra_file_dropped() -> Dossier:
    """Say nothing of a file that the second builder gave and the first did not."""
    value = dossier().dossier
    assert value.rebuild is not None
    run = run_of(value, SECOND, outputs=(*value.rebuild.outputs, file_of("extra_1.0-1_amd64.deb", b"extra")))
    honest = together(value, run)
    verify_dossier(honest)
    return replace(honest, comparison=value.comparison)


LIES: dict[str, tuple[Callable[[], Dossier], str]] = {
    "disagreement-hidden": (hidden, "builders are disagreeing, and that leaves no answer"),
    "published-bytes-called-rebuilt-in-a-disagreement": (
        lambda: compared(disagreeing(), rebuilt=PUBLISHED),
        "builders are disagreeing, and one's file is called the rebuilt one",
    ),
    "disagreement-called-different": (
        lambda: compared(disagreeing(), verdict=Verdict.DIFFERENT, causes=(Cause.PAYLOAD_CHANGED,), rebuilt=PUBLISHED),
        "builders are disagreeing, and that leaves no answer",
    ),
    "disagreement-called-a-failed-build": (
        lambda: compared(disagreeing(), causes=(Cause.BUILD_FAILED,)),
        "`disagreement` is a cause when builders gave different bytes",
    ),
    "file-of-another-builder-dropped": (
        extra_file_dropped,
        "extra_1.0-1_amd64.deb was given by another builder alone and is not compared",
    ),
    "disagreement-invented": (
        lambda: compared(agreeing(), verdict=Verdict.UNDECIDED, causes=(Cause.DISAGREEMENT,)),
        "`disagreement` is a cause when builders gave different bytes",
    ),
    "disagreement-of-one-builder": (
        lambda: compared(dossier().dossier, verdict=Verdict.UNDECIDED, causes=(Cause.DISAGREEMENT,)),
        "`disagreement` is a cause when builders gave different bytes",
    ),
    "quorum-pending-hidden": (
        lambda: compared(pending(), verdict=Verdict.REPRODUCED, causes=(), rebuilt=PUBLISHED),
        "builders are incomplete, and that leaves no answer",
    ),
    "quorum-pending-called-a-failed-build": (
        lambda: compared(pending(), causes=(Cause.BUILD_FAILED,)),
        "`quorum-pending` is no cause",
    ),
    "quorum-pending-invented": (
        lambda: compared(agreeing(), verdict=Verdict.UNDECIDED, causes=(Cause.QUORUM_PENDING,)),
        "yet a file is called the rebuilt one",
    ),
    "another-rebuild-duplicated": (
        lambda: replace(agreeing(), others=agreeing().others[:1] * 2),
        "a builder is counted twice",
    ),
    "the-rebuild-s-own-builder-once-more": (
        lambda: others({"builder": BUILDER.public_key.keyid, "ordinal": 1}),
        "a builder is counted twice",
    ),
    "another-rebuild-of-another-plan": (lambda: others({"plan": Digest.of(b"another plan")}), "is of plan"),
    "another-rebuild-in-a-used-environment": (
        lambda: others({"fresh_environment": False}),
        f"builder {SECOND.public_key.keyid[:16]} used a prepared environment",
    ),
    "rebuild-in-a-used-environment": (
        lambda: replace(agreeing(), rebuild=replace(agreeing().runs[0], fresh_environment=False)),
        f"builder {BUILDER.public_key.keyid[:16]} used a prepared environment",
    ),
    "others-without-a-rebuild": (
        lambda: replace(compared(agreeing(), verdict=Verdict.UNDECIDED, rebuilt=None), rebuild=None),
        "runs of other builders without a rebuild",
    ),
    "control-is-another-builder-s-run": (
        lambda: replace(agreeing(Verdict.DIFFERENT), control=agreeing(Verdict.DIFFERENT).others[0]),
        "the control run is the rebuild itself",
    ),
}


@pytest.mark.parametrize("name", [*LIES])
def test_attack_dossier(name: str) -> None:
    """A dossier whose quorum does not follow from its runs is refused, and named."""
    make, message = LIES[name]
    with pytest.raises(HostileInput, match=message):
        verify_dossier(make())


def put_record(staged: Staged, name: str, record: bytes, value: Dossier | None = None) -> None:
    """Put another record into a request, list it as evidence, and derive everything from it."""
    (staged.result / name).write_bytes(record)
    documents = tuple(
        replace(document, digest=Digest.of(record), size_bytes=len(record)) if document.path == name else document
        for document in staged.context.documents
    )
    context = replace(staged.context, documents=documents)
    write_request(staged.request, staged.result, value or load_request(staged.request).dossier, context)


def change(staged: Staged, value: Dossier | None = None, **changes: object) -> None:
    """Have the coordinator lie in the context, and derive everything from the lie."""
    context = replace(staged.context, **changes)  # type: ignore[arg-type]
    write_request(staged.request, staged.result, value or load_request(staged.request).dossier, context)


def drop_a_builder(staged: Staged) -> None:
    """Hide the third builder's run, and leave its record."""
    value = agreeing()
    change(staged, replace(value, others=value.others[:1]), others=staged.context.others[:1])


def edit_the_count(staged: Staged) -> None:
    """Write that more builders agree than there are."""
    path = staged.request / "unsigned" / STATEMENT
    plain = json.loads(path.read_bytes())
    plain["predicate"]["quorum"] |= {"rebuilds": 4, "note": "4 builders' word: the same in 4 fault domains"}
    path.write_bytes(render(plain))


def outputs_of_the_published(staged: Staged) -> None:
    """Write into the dossier that the second builder agrees, which signed something else."""
    value = agreeing()
    put_record(staged, "others/1.dsse.json", sign_rebuild(run_of(value, SECOND, outputs=other_outputs(value)), SECOND))


def one_key_as_two_builders(staged: Staged) -> None:
    """Have the first builder's key pose as the second builder."""
    value = agreeing()
    run = run_of(value, BUILDER, ordinal=1)
    value = replace(value, others=(run, value.others[1]))
    first = Builder(pem=BUILDER.public_key.pem, fault_domain="rack-1")
    put_record(staged, "others/1.dsse.json", sign_rebuild(run, BUILDER), value)
    change(
        replace(staged, context=load_request(staged.request).context), value, others=(first, staged.context.others[1])
    )


def domain(staged: Staged, found: str | None) -> None:
    """Say of the second builder that it is in another fault domain."""
    second, third = staged.context.others
    change(staged, others=(replace(second, fault_domain=found), third))


REQUEST_LIES: dict[str, tuple[Callable[[Staged], object], type[RebuilderError], str]] = {
    "another-rebuild-dropped": (drop_a_builder, HostileInput, r"logs/other-2\.log\.zst is not an evidence file"),
    "key-dropped": (
        lambda staged: (staged.request / "context.json").write_bytes(
            render(replace(staged.context, others=staged.context.others[:1]))
        ),
        HostileInput,
        "runs of 2 other builders, the context keys of 1",
    ),
    "record-missing": (
        lambda staged: (staged.request / "others/2.dsse.json").unlink(),
        HostileInput,
        "others/2.dsse.json is missing",
    ),
    "records-swapped": (
        lambda staged: put_record(staged, "others/1.dsse.json", (staged.result / "others/2.dsse.json").read_bytes()),
        SignatureRefused,
        "signed by 0 of the keys",
    ),
    "record-signed-by-a-third-for-the-second": (
        lambda staged: change(staged, others=tuple(reversed(staged.context.others))),
        SignatureRefused,
        "signed by 0 of the keys",
    ),
    "record-says-something-else": (outputs_of_the_published, HostileInput, "signed another record than the dossier"),
    "one-key-as-two-builders": (one_key_as_two_builders, HostileInput, "two builders of the quorum have one key"),
    "count-edited-in-the-statement": (
        edit_the_count,
        HostileInput,
        r"/predicate/quorum/note: the dossier says .3 builders' word",
    ),
    "fault-domain-invented": (
        lambda staged: domain(staged, "another-continent"),
        SignatureRefused,
        "expected fault domain cloud/eu, as the operator assigned it, found another-continent",
    ),
    "fault-domain-left-out": (lambda staged: domain(staged, None), SignatureRefused, "found None"),
    "control-builder-without-a-control": (
        lambda staged: change(staged, control=SECOND.public_key.pem),
        HostileInput,
        "a builder of the control run is named",
    ),
}


@pytest.mark.parametrize("name", [*REQUEST_LIES])
def test_attack_request(tmp_path: Path, name: str) -> None:
    """Nothing is signed for a request that lies about other builders."""
    staged = stage(tmp_path, agreeing())
    attack, error, message = REQUEST_LIES[name]
    attack(staged)
    with pytest.raises(error, match=message):
        sign(staged, tmp_path / "journal")
    assert not (staged.request / "signed").exists()
