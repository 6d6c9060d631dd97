"""The ledger can be lost: the published documents make it again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rebuilder.errors import StorageFailure
from rebuilder.model.cause import Cause
from rebuilder.model.codec import render
from rebuilder.model.dossier import Dossier
from rebuilder.model.verdict import Verdict
from rebuilder.store.conclusions import EventKind
from rebuilder.store.ledger import Ledger, open_ledger
from rebuilder.store.restore import rebuild_from
from tests.store.conftest import dossier

_ENVELOPE = json.dumps({"payload": "", "payloadType": "t", "signatures": [{"keyid": "k" * 64, "sig": ""}]})


def _publish(results: Path, made: Dossier, run: str) -> Path:
    directory = results / "deb" / made.release.name / made.release.version / "amd64" / run
    filename = made.release.artifacts[0].filename
    for relative in (f"attestations/{filename}/verdict.dsse.json", f"links/{filename}/dsse/rebuild.kkkkkkkk.link"):
        path = directory / relative
        path.parent.mkdir(parents=True)
        path.write_text(_ENVELOPE)
    (directory / "dossier.json").write_bytes(render(made))
    return directory


def test_a_lost_ledger_is_made_again_from_the_documents(tmp_path: Path, ledger: Ledger) -> None:
    """History, verdicts and regressions are what they were."""
    results = tmp_path / "results"
    first = dossier(Verdict.REPRODUCED)
    second = dossier(Verdict.DIFFERENT, version="1.1-1", days=1, causes=(Cause.PAYLOAD_CHANGED,))
    for made in (first, second):
        directory = _publish(results, made, "run")
        assert made.rebuild is not None
        ledger.record_rebuild(made.rebuild)
        ledger.record_comparison(made, directory.relative_to(results).as_posix())
    again = open_ledger(tmp_path / "again.sqlite")
    restored = rebuild_from(again, results)
    assert (restored.dossiers, restored.documents, restored.refused) == (2, 4, ())
    assert again.history("demo") == ledger.history("demo")
    assert again.regressions() == ledger.regressions()
    assert rebuild_from(again, results).dossiers == 2
    assert len(again.latest()) == 2


def test_ordinals_go_on_after_a_restoration(tmp_path: Path, ledger: Ledger) -> None:
    """A run made after the loss is not named like one before it."""
    made = dossier(ordinal=3)
    _publish(tmp_path / "results", made, "run")
    rebuild_from(ledger, tmp_path / "results")
    assert made.rebuild is not None
    assert ledger.next_ordinal(made.rebuild.plan, made.rebuild.builder, made.concluded_at) == 4


def test_a_damaged_document_is_reported_and_the_others_are_read(tmp_path: Path, ledger: Ledger) -> None:
    """One bad file does not cost the rest of the ledger, and is never believed in part."""
    results = tmp_path / "results"
    _publish(results, dossier(), "good")
    bad = _publish(results, dossier(version="2", days=1), "bad")
    (bad / "dossier.json").write_bytes(b'{"release": {}, "surprise": 1}')
    other = _publish(results, dossier(version="3", days=2), "unsigned")
    next(other.glob("links/*/dsse/*.link")).write_text("{}")
    restored = rebuild_from(ledger, results)
    assert restored.dossiers == 2
    assert [line.partition(":")[0].split("/")[4] for line in restored.refused] == ["bad", "unsigned"]
    assert [line.version for line in ledger.latest()] == ["3", "1.0-1"]


def test_two_reports_of_one_run_are_not_both_believed(tmp_path: Path, ledger: Ledger) -> None:
    """A document forged beside the real one is reported."""
    results = tmp_path / "results"
    _publish(results, dossier(), "first")
    forged = json.loads(render(dossier(days=1)))
    forged["rebuild"]["reason"] = "another story"
    directory = _publish(results, dossier(days=1), "second")
    (directory / "dossier.json").write_text(json.dumps(forged))
    (refusal,) = rebuild_from(ledger, results).refused
    assert "expected the report that is recorded, found another" in refusal


def test_links_out_of_the_results_are_not_followed(tmp_path: Path, ledger: Ledger) -> None:
    """A symbolic link in the place of a dossier is not read."""
    results = tmp_path / "results"
    directory = _publish(results, dossier(), "run")
    (directory / "dossier.json").rename(tmp_path / "outside.json")
    (directory / "dossier.json").symlink_to(tmp_path / "outside.json")
    assert rebuild_from(ledger, results).dossiers == 0


def test_results_that_are_not_there_are_an_error(tmp_path: Path, ledger: Ledger) -> None:
    """Nothing found because of a misspelt directory is not an empty ledger."""
    with pytest.raises(StorageFailure, match="no such directory"):
        rebuild_from(ledger, tmp_path / "absent")


def test_every_builder_s_run_is_restored_and_so_is_their_disagreement(tmp_path: Path, ledger: Ledger) -> None:
    """The other builders' run numbers go on as well, and what they disagreed about is an event again."""
    made = dossier(Verdict.UNDECIDED, causes=(Cause.DISAGREEMENT,))
    assert made.rebuild is not None
    other = replace(made.rebuild, builder="c" * 64, outputs=(), ordinal=6)
    _publish(tmp_path / "results", replace(made, others=(other,)), "run")
    assert rebuild_from(ledger, tmp_path / "results").refused == ()
    assert ledger.next_ordinal(other.plan, other.builder, made.concluded_at) == 7
    assert [event.kind for event in ledger.events()] == [EventKind.BUILDERS_DISAGREE]
