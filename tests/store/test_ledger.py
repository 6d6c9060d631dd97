"""The ledger: what goes in comes out, once, and what changes over time is noticed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from rebuilder.errors import HostileInput, StorageFailure
from rebuilder.model.cause import Cause
from rebuilder.model.digest import Digest
from rebuilder.model.verdict import Verdict
from rebuilder.store.conclusions import EventKind, PublishedDocument
from rebuilder.store.database import Database
from rebuilder.store.ledger import Ledger, open_ledger
from tests.store.conftest import BUILDER, NOON, PLAN, dossier, rebuild, release

Conclude = Callable[..., Digest]


@pytest.fixture
def ledger(database: Database) -> Ledger:
    """Make an empty ledger on either kind of database."""
    return Ledger(database)


def test_ordinals_count_on_and_are_never_given_twice(ledger: Ledger) -> None:
    """Each run of a plan by a builder has a number of its own, also when a run before it died."""
    assert [ledger.next_ordinal(PLAN, BUILDER, NOON) for _ in range(3)] == [0, 1, 2]
    assert ledger.next_ordinal(PLAN, "another", NOON) == 0
    assert ledger.next_ordinal(Digest.of(b"other plan"), BUILDER, NOON) == 0


def test_a_young_ledger_skips_numbers_that_the_results_hold(ledger: Ledger) -> None:
    """A ledger that was lost does not name a new run like a published one."""
    assert ledger.next_ordinal(PLAN, BUILDER, NOON, at_least=4) == 4
    assert ledger.next_ordinal(PLAN, BUILDER, NOON, at_least=2) == 5


def test_a_report_is_accepted_once(ledger: Ledger) -> None:
    """The same report again changes nothing; another one for the same run is refused."""
    ordinal = ledger.next_ordinal(PLAN, BUILDER, NOON)
    ledger.record_rebuild(rebuild(ordinal))
    ledger.record_rebuild(rebuild(ordinal))
    with pytest.raises(HostileInput, match="expected the report that is recorded, found another"):
        ledger.record_rebuild(rebuild(ordinal, reason="changed my mind"))


def test_a_conclusion_comes_out_as_it_went_in(ledger: Ledger) -> None:
    """History speaks in our nouns, and recording the same dossier twice is recording it once."""
    made = dossier(Verdict.DIFFERENT, causes=(Cause.PAYLOAD_CHANGED, Cause.TIMESTAMPS))
    digest = ledger.record_comparison(made, "deb/demo/1.0-1/amd64/run")
    assert ledger.record_comparison(made, "deb/demo/1.0-1/amd64/run") == digest
    (line,) = ledger.history("demo")
    assert (line.verdict, line.causes) == (Verdict.DIFFERENT, (Cause.PAYLOAD_CHANGED, Cause.TIMESTAMPS))
    assert (line.dossier, line.directory, line.concluded_at) == (digest, "deb/demo/1.0-1/amd64/run", NOON)
    assert (line.ecosystem, line.suite, line.version, line.architecture) == ("deb", "trixie", "1.0-1", "amd64")


def test_history_is_newest_first_and_of_one_name(ledger: Ledger, conclude: Conclude) -> None:
    """Another package, or another ecosystem, is another history."""
    conclude(Verdict.REPRODUCED, version="1.0-1", days=0)
    conclude(Verdict.DIFFERENT, version="1.1-1", days=1, causes=(Cause.BUILD_ID,))
    conclude(name="other")
    assert [line.version for line in ledger.history("demo")] == ["1.1-1", "1.0-1"]
    assert ledger.history("demo", ecosystem="pypi") == ()
    assert ledger.history("absent") == ()


def test_latest_is_one_line_a_version(ledger: Ledger, conclude: Conclude) -> None:
    """A second verification supersedes the first in the list, and both stay in the history."""
    conclude(Verdict.UNDECIDED, causes=(Cause.INFRASTRUCTURE,), days=0)
    conclude(Verdict.REPRODUCED, days=2)
    conclude(Verdict.EQUIVALENT, version="2.0-1", days=1)
    assert [(line.version, line.verdict) for line in ledger.latest()] == [
        ("1.0-1", Verdict.REPRODUCED),
        ("2.0-1", Verdict.EQUIVALENT),
    ]
    assert len(ledger.history("demo")) == 3


def test_a_package_that_stops_reproducing_is_a_regression(ledger: Ledger, conclude: Conclude) -> None:
    """Undecided runs between do not hide it; getting better is none."""
    conclude(Verdict.DIFFERENT, name="better", version="1", days=0, causes=(Cause.BUILD_ID,))
    conclude(Verdict.REPRODUCED, name="better", version="2", days=1)
    conclude(Verdict.REPRODUCED, version="1", days=0)
    conclude(Verdict.UNDECIDED, version="2", days=1, causes=(Cause.TIMED_OUT,))
    conclude(Verdict.DIFFERENT, version="3", days=2, causes=(Cause.PAYLOAD_CHANGED,))
    (found,) = ledger.regressions()
    assert (found.before.version, found.after.version) == ("1", "3")


def test_another_suites_version_is_no_regression(ledger: Ledger) -> None:
    """The false regression: oldstable's version differs after stable's was reproduced; a security update continues."""

    def conclude_in(suite: str, verdict: Verdict, version: str, days: int, *causes: Cause) -> None:
        made = dossier(verdict, version=version, days=days, causes=causes)
        made = replace(made, release=replace(made.release, suite=suite))
        ledger.record_comparison(made, f"deb/demo/{version}/amd64/run")

    conclude_in("trixie", Verdict.REPRODUCED, "2", 0)
    conclude_in("bookworm", Verdict.DIFFERENT, "1", 1, Cause.BUILD_ID)
    assert ledger.regressions() == ()
    conclude_in("trixie-security", Verdict.DIFFERENT, "2+deb13u1", 2, Cause.BUILD_ID)
    (found,) = ledger.regressions()
    assert (found.before.version, found.after.version) == ("2", "2+deb13u1")


def test_a_published_file_that_changes_is_an_event(ledger: Ledger) -> None:
    """The same name with other bytes is noticed once for each new content."""
    assert ledger.observe_artifacts(release(), NOON) == ()
    assert ledger.observe_artifacts(release(), NOON + timedelta(days=1)) == ()
    (event,) = ledger.observe_artifacts(release(content=b"replaced"), NOON + timedelta(days=2))
    assert event.kind is EventKind.ARTIFACT_CHANGED
    assert event.subject == "demo_1.0-1_amd64.deb"
    assert f"expected {Digest.of(b'published')}" in event.detail
    assert f"found {Digest.of(b'replaced')}" in event.detail
    assert ledger.observe_artifacts(release(content=b"replaced"), NOON + timedelta(days=3)) == ()
    assert ledger.events() == (event,)


def test_an_archive_that_goes_back_in_time_is_an_event(ledger: Ledger) -> None:
    """The highest Date is remembered for each archive and suite, and an older one does not lower it."""
    document = Digest.of(b"InRelease")
    later = NOON + timedelta(days=1)
    assert ledger.highest_date("debian", "trixie") is None
    assert ledger.observe_index("debian", "trixie", date=later, document=document, at=later) is None
    event = ledger.observe_index("debian", "trixie", date=NOON, document=document, at=later)
    assert event is not None
    assert event.kind is EventKind.ARCHIVE_WENT_BACK
    assert ledger.highest_date("debian", "trixie") == later
    assert ledger.observe_index("debian-security", "trixie", date=NOON, document=document, at=later) is None


def test_documents_belong_to_a_recorded_dossier(ledger: Ledger) -> None:
    """Attestations come after the comparison that they attest; twice is once."""
    document = PublishedDocument(
        filename="demo_1.0-1_amd64.deb",
        kind="verdict",
        key="k" * 64,
        digest=Digest.of(b"signed"),
        path="attestations/x",
    )
    with pytest.raises(StorageFailure, match="its comparison is recorded first"):
        ledger.record_attestations(Digest.of(b"unknown"), [document])
    digest = ledger.record_comparison(dossier(), "run")
    ledger.record_attestations(digest, [document])
    ledger.record_attestations(digest, [document])


def test_a_release_seen_again_stays_one_release(ledger: Ledger) -> None:
    """Its newest state is kept; a time without a zone is refused."""
    ledger.record_release(release(), NOON)
    ledger.record_release(release(content=b"replaced"), NOON + timedelta(days=1))
    with pytest.raises(StorageFailure, match="a time without a zone is not a moment"):
        ledger.record_release(release(), NOON.replace(tzinfo=None))


def test_a_ledger_is_still_there_when_opened_again(path: Path) -> None:
    """What was recorded outlives the process."""
    open_ledger(path).record_comparison(dossier(), "run")
    assert len(open_ledger(path).latest()) == 1


def test_builders_that_disagree_are_an_event(ledger: Ledger) -> None:
    """Each file that builders gave differently is noticed once, with who gave what."""
    made = dossier(Verdict.UNDECIDED, causes=(Cause.DISAGREEMENT,))
    assert made.rebuild is not None
    other = replace(made.rebuild, builder="c" * 64, outputs=())
    made = replace(made, others=(other,))
    for _ in range(2):
        ledger.record_comparison(made, "deb/demo/1.0-1/amd64/run")
    (event,) = ledger.events()
    assert (event.kind, event.subject, event.at) == (EventKind.BUILDERS_DISAGREE, "demo_1.0-1_amd64.deb", NOON)
    assert f"found {Digest.of(b'rebuilt')} by {BUILDER}, none by {'c' * 64}" in event.detail
