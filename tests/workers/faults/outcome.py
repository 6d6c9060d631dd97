"""What a farm must never do, counted from everything that it left: ledger, results, and each blob ever signed."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rebuilder.attest import envelope
from rebuilder.attest.keys import PublicKey
from rebuilder.errors import RebuilderError
from rebuilder.model import codec
from rebuilder.model.job import CaseState, JobState
from rebuilder.publish import layout
from rebuilder.publish.index import Index
from rebuilder.store.cases import Cases
from rebuilder.store.jobs import Jobs
from tests.workers.office import Office

_CASES = 5000


class Traces(Protocol):
    """Where a farm leaves what is looked at."""

    @property
    def jobs(self) -> Jobs:
        """Its jobs."""

    @property
    def cases(self) -> Cases:
        """Its cases."""

    @property
    def results(self) -> Path:
        """What it published."""

    @property
    def blobs_dir(self) -> Path:
        """Everything that anybody handed in."""

    @property
    def attester(self) -> PublicKey:
        """Half of its attestation key."""


@dataclass(frozen=True, kw_only=True)
class Left:
    """Traces of a farm in the test's own process."""

    jobs: Jobs
    cases: Cases
    results: Path
    blobs_dir: Path
    attester: PublicKey

    @classmethod
    def by(cls, office: Office) -> Left:
        """Say what an office left."""
        return cls(
            jobs=office.coordinator.bureau.jobs,
            cases=office.coordinator.bureau.cases,
            results=office.settings.results,
            blobs_dir=office.settings.blobs_dir,
            attester=office.attester,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Counts; all but the first two are 0 on a farm that survived."""

    jobs: int
    cases: int
    not_ended: int
    """Jobs that are still owed, or ended otherwise than done."""
    lost: int
    """Cases that are not closed, or of which not exactly one result is published."""
    unlisted: int
    """Packages that are published, and not in the list of everything."""
    signed_twice: int
    """Statements about one artifact, of one kind, of which the attestation key signed more than one."""
    published_unsigned: int
    """Results without verdicts by the attestation key."""

    def __str__(self) -> str:
        """Write it for a person."""
        return (
            f"{self.jobs} jobs of {self.cases} cases: {self.not_ended} not ended, {self.lost} lost, "
            f"{self.signed_twice} signed twice with different content, {self.published_unsigned} published unsigned, "
            f"{self.unlisted} unlisted"
        )

    @property
    def is_whole(self) -> bool:
        """Whether nothing went wrong."""
        return not (self.not_ended or self.lost or self.unlisted or self.signed_twice or self.published_unsigned)


def outcome_of(farm: Traces) -> Outcome:
    """Look at everything."""
    cases = farm.cases.find(limit=_CASES)
    states = dict(farm.jobs.backlog().by_state)
    published = [path.parent for path in farm.results.rglob("dossier.json")]
    listed = codec.parse((farm.results / "index.json").read_bytes(), Index).results if published else ()
    results = Counter(path.parents[2].name for path in published)
    names = {layout.encode_part(case.name): case.state for case in cases}
    shown = {Path(summary.path).parts[1] for summary in listed}
    whole = {name for name, state in names.items() if state is CaseState.CLOSED and results[name] == 1}
    return Outcome(
        jobs=sum(states.values()),
        cases=len(cases),
        not_ended=sum(states.values()) - states.get(JobState.DONE, 0),
        lost=len((names.keys() | results.keys()) - whole),
        unlisted=len(results.keys() - shown),
        signed_twice=_signed_twice(farm),
        published_unsigned=sum(not _is_signed(path, farm.attester) for path in published),
    )


def _is_signed(directory: Path, attester: PublicKey) -> bool:
    documents = list(directory.glob("attestations/*/verdict.dsse.json"))
    for path in documents:
        envelope.verify(envelope.parse(path.read_bytes()), (attester,), payload_type=envelope.IN_TOTO)
    return bool(documents)


def _signed_twice(farm: Traces) -> int:
    """Look at every blob that was handed in, published or not: a package is of one case, so one of each is right."""
    payloads: dict[str, set[bytes]] = defaultdict(set)
    for path in farm.blobs_dir.rglob("*"):
        payload = _attested(path, farm.attester)
        if payload is not None:
            statement = json.loads(payload)
            about = sorted(each["name"] for each in statement.get("subject", ())) or sorted(statement["products"])
            payloads[f"{statement.get('predicateType', 'link')} {about}"].add(payload)
    assert payloads or not farm.cases.find(limit=1), "no signed statement was found: this looks in the wrong place"
    return sum(len(found) > 1 for found in payloads.values())


def _attested(path: Path, attester: PublicKey) -> bytes | None:
    if not path.is_file():
        return None
    try:
        found = envelope.parse(path.read_bytes())
        envelope.verify(found, (attester,), payload_type=envelope.IN_TOTO)
    except RebuilderError:
        return None
    return found.payload
