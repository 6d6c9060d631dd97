"""Wake-ups: what the coordinator signed counts once, and what anybody else can do to it in the broker is refused."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rebuilder.attest import envelope
from rebuilder.errors import ConfigurationError, HostileInput, SignatureRefused, StaleInput, StorageFailure
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.job import Job, JobKind, JobState, NewJob, ResourceClass
from tests.workers.lease.conftest import new_signer
from workers.app import queue_of
from workers.running import queues_of
from workers.wake import LIFETIME, TOKEN_LIMIT_BYTES, Delivery, Nonces, Wake, make_token, verify_token

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
HERE = Delivery(task="workers.rebuild", queue="rebuild.small.amd64")
COORDINATOR = new_signer()
JOB = Job(
    id=7,
    new=NewJob(
        kind=JobKind.REBUILD,
        target="pkg:deb/debian/demo@1.0-1?arch=source",
        suite="trixie",
        name="demo",
        input=Digest.of(b"task"),
    ),
    state=JobState.READY,
    attempts=1,
    fence=1,
    not_before=None,
    output=None,
    cause=None,
    message="",
    created_at=NOON,
    changed_at=NOON,
)


@pytest.mark.parametrize("wanted", [(), ("amd64",), ("amd64", "gpu"), ("gpu", "amd64", "ssd")])
def test_a_builder_hears_of_every_job_that_its_tags_cover(wanted: tuple[str, ...]) -> None:
    """Whatever some, all or none of its tags a job wants, and in whatever order they are written."""
    job = replace(JOB, new=replace(JOB.new, tags=wanted, resources=ResourceClass.LARGE))
    assert queue_of(job) in queues_of(JobKind.REBUILD, ("ssd", "amd64", "gpu", "gpu"))
    assert queue_of(replace(job, new=replace(job.new, tags=("arm64",)))) not in queues_of(JobKind.REBUILD, ("amd64",))


def test_a_builder_has_a_handful_of_tags() -> None:
    """It would listen to thousands of queues otherwise."""
    with pytest.raises(ConfigurationError, match="expected at most 6 tags, found 7"):
        queues_of(JobKind.REBUILD, tuple("abcdefg"))


@pytest.fixture
def nonces(tmp_path: Path) -> Nonces:
    """Remember what one worker has seen."""
    return Nonces(tmp_path / "worker" / "wakes.sqlite")


def token(now: datetime = NOON, delivery: Delivery = HERE) -> str:
    """Make a wake-up as the coordinator does."""
    return make_token(JOB, delivery, COORDINATOR, now)


def verified(text: object, nonces: Nonces, now: datetime = NOON, delivery: Delivery = HERE) -> Wake:
    """Verify as a worker does."""
    return verify_token(text, delivery, COORDINATOR.public_key, nonces, now)


def test_what_the_coordinator_signed_is_accepted(nonces: Nonces) -> None:
    """A worker learns the job, its input and its fence."""
    wake = verified(token(), nonces)
    assert (wake.job, wake.input, wake.fence) == (7, Digest.of(b"task"), 1)


def test_each_wake_up_is_another(nonces: Nonces) -> None:
    """The reconciler may send the same job again: that is a wake-up of its own."""
    assert verified(token(), nonces).nonce != verified(token(), nonces).nonce


def test_attack_relabelled(nonces: Nonces) -> None:
    """A message under another task's name is refused, though its signature is right: Celery itself would run it."""
    with pytest.raises(
        SignatureRefused, match=r"expected a wake-up for workers\.sign .* found one for workers\.rebuild"
    ):
        verified(token(), nonces, delivery=Delivery(task="workers.sign", queue=HERE.queue))


def test_attack_moved_to_another_queue(nonces: Nonces) -> None:
    """A message in a queue that it was not put in is refused."""
    with pytest.raises(SignatureRefused, match=r"in queue rebuild\.large\.arm64, found one"):
        verified(token(), nonces, delivery=Delivery(task=HERE.task, queue="rebuild.large.arm64"))


def test_attack_replayed(nonces: Nonces) -> None:
    """A message that is sent again is refused."""
    text = token()
    verified(text, nonces)
    with pytest.raises(SignatureRefused, match="job 7: this wake-up came before"):
        verified(text, nonces)


def test_attack_replayed_after_a_restart(tmp_path: Path) -> None:
    """What a worker saw outlives it, and its processes share it."""
    text, path = token(), tmp_path / "wakes.sqlite"
    verified(text, Nonces(path))
    with pytest.raises(SignatureRefused, match="came before"):
        verified(text, Nonces(path))


def test_attack_replayed_when_its_nonce_was_forgotten(nonces: Nonces) -> None:
    """A nonce is kept for longer than its message counts."""
    text = token()
    verified(text, nonces)
    for minutes in range(0, int((LIFETIME + timedelta(hours=6)).total_seconds() / 60), 30):
        now = NOON + timedelta(minutes=minutes)
        nonces.remember(f"{minutes}", now, now)
        with pytest.raises((SignatureRefused, StaleInput)):
            verified(text, nonces, now)


def test_attack_forged(nonces: Nonces) -> None:
    """Another key's wake-up is refused, also under the coordinator's id."""
    forger = new_signer()
    text = make_token(JOB, HERE, forger, NOON)
    with pytest.raises(SignatureRefused, match="signed by 0 of the keys"):
        verified(text, nonces)
    with pytest.raises(SignatureRefused, match="not one that key"):
        verified(text.replace(forger.public_key.keyid, COORDINATOR.public_key.keyid), nonces)


@pytest.mark.parametrize(
    ("name", "value"), [("job", 8), ("fence", 2), ("task", "workers.sign"), ("expires", "2036-01-01T00:00:00Z")]
)
def test_attack_altered(nonces: Nonces, name: str, value: object) -> None:
    """Another job, task or time under the same signature is refused."""
    plain = json.loads(token())
    payload = {**json.loads(base64.b64decode(plain["payload"])), name: value}
    found = envelope.parse(token().encode())
    changed = envelope.Envelope(
        payload_type=found.payload_type, payload=codec.render(payload), signatures=found.signatures
    )
    with pytest.raises(SignatureRefused, match="not one that key"):
        verified(envelope.render(changed).decode(), nonces)


def test_attack_another_document_of_the_same_key(nonces: Nonces) -> None:
    """What the coordinator's key signed as something else is no wake-up."""
    payload = envelope.parse(token().encode()).payload
    text = envelope.sign(payload, envelope.REBUILD, COORDINATOR).decode()
    with pytest.raises(SignatureRefused, match="payload type"):
        verified(text, nonces)


def test_attack_expired(nonces: Nonces) -> None:
    """A message counts for as long as it says, and a second later no more."""
    assert verified(token(), nonces, NOON + LIFETIME).job == 7
    with pytest.raises(StaleInput, match="job 7: a wake-up that expires at"):
        verified(token(), nonces, NOON + LIFETIME + timedelta(seconds=1))


def test_attack_from_a_time_to_come(nonces: Nonces) -> None:
    """What would count for longer than any wake-up does is refused."""
    text = make_token(JOB, HERE, COORDINATOR, NOON, lifetime=LIFETIME * 10)
    with pytest.raises(StaleInput):
        verified(text, nonces)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "null", "[]", "x" * (TOKEN_LIMIT_BYTES + 1), "\ud800", 7, None, b"{}", ["token"], '{"payload":"AA=="}'],
    ids=lambda each: repr(each)[:12],
)
def test_attack_malformed(nonces: Nonces, text: object) -> None:
    """Anything that Celery may deliver is refused by an error of ours."""
    with pytest.raises(HostileInput):
        verified(text, nonces)


def test_attack_signed_nonsense(nonces: Nonces) -> None:
    """A payload that is no wake-up is refused, whoever signed it."""
    text = envelope.sign(b'{"job":7}', envelope.WAKE, COORDINATOR).decode()
    with pytest.raises(HostileInput, match="not a valid Wake document"):
        verified(text, nonces)


def test_a_refused_wake_up_uses_nothing_up(nonces: Nonces) -> None:
    """Who moves a message to another queue cannot make the right one be refused."""
    text = token()
    with pytest.raises(SignatureRefused):
        verified(text, nonces, delivery=Delivery(task="workers.sign", queue="sign"))
    assert verified(text, nonces).job == 7


def test_a_spoilt_file_is_named(tmp_path: Path) -> None:
    """A worker that cannot remember does not accept."""
    path = tmp_path / "wakes.sqlite"
    path.write_bytes(b"no database at all, but long enough to be taken for one" * 20)
    with pytest.raises(StorageFailure, match=r"wakes\.sqlite"):
        Nonces(path)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_workers_clock_may_be_an_hour_off(nonces: Nonces, hours: int) -> None:
    """A worker whose clock is wrong is woken all the same."""
    assert verified(token(), nonces, NOON + timedelta(hours=hours)).job == 7
