"""Input that fails verification: refused before anything is built, with exit code 3, and attested once resolved.

And input that cannot be had, which is no one's fault: undecided, with exit code 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rebuilder.model.cause import Cause
from tests.archive.frozen import FrozenArchive
from tests.archive.key import SigningKey
from tests.archive.server import Fault, Loopback
from tests.end_to_end.conftest import MakePerson
from tests.end_to_end.site import Site


@pytest.fixture
def twin(site: Site, tmp_path: Path) -> FrozenArchive:
    """Copy the archive's indices; its pool is the same."""
    return site.archive.copy_indices(tmp_path / "twin")


@pytest.fixture
def twin_mirror(twin: FrozenArchive) -> Iterator[Loopback]:
    """Serve the copy."""
    with Loopback(twin.root) as server:
        yield server


def _nothing_was_built(home: Path) -> bool:
    return not [*home.rglob("plan.json"), *home.rglob("build.log.zst")]


def test_attack_a_tampered_deb_on_the_mirror(mirror: Loopback, make_person: MakePerson) -> None:
    """A published .deb that is not the signed one: refused by digest, nothing built, attested as undecided."""
    mirror.faults["/pair_1.0-1_amd64.deb"] = Fault.FLIPPED
    person = make_person(address=mirror.address, downloads=False)
    said = person.verify("deb:trixie/pair")
    said.concludes("undecided", 3, Cause.UNTRUSTED_INPUT)
    assert "pair_1.0-1_amd64.deb" in said.answer["reason"]
    assert _nothing_was_built(person.results)
    for result in said.answer["documents"]:
        checked = person.check(Path(result))
        assert (checked.code, checked.answer["holds"], checked.answer["verdict"]) == (3, True, "undecided")
        assert not (Path(result) / "links").exists()


def test_attack_a_tampered_source_on_the_mirror(mirror: Loopback, make_person: MakePerson) -> None:
    """So with a source file."""
    mirror.faults["/pair_1.0.orig.tar.gz"] = Fault.FLIPPED
    person = make_person(address=mirror.address, downloads=False)
    said = person.verify("deb:trixie/pair")
    said.concludes("undecided", 3, Cause.UNTRUSTED_INPUT)
    assert "pair_1.0.orig.tar.gz" in said.answer["reason"]
    assert _nothing_was_built(person.results)


def test_a_source_that_the_mirror_lost_is_undecided(mirror: Loopback, make_person: MakePerson) -> None:
    """404 for a source file that the signed index names is no difference and no refusal."""
    mirror.faults["/gone_1.0.orig.tar.gz"] = Fault.NOT_FOUND
    person = make_person(address=mirror.address, downloads=False)
    said = person.verify("deb:trixie/gone")
    said.concludes("undecided", 4, Cause.SOURCE_UNAVAILABLE)
    assert "gone_1.0.orig.tar.gz" in said.answer["reason"]
    assert person.check(said.result).code == 4


@pytest.mark.parametrize("fault", [Fault.BROKEN, Fault.BREAKS_OFF])
def test_a_mirror_that_fails_halfway_is_undecided(mirror: Loopback, make_person: MakePerson, fault: Fault) -> None:
    """A server's error or a cut transfer: infrastructure, exit code 4, and never a half file believed."""
    mirror.faults["/gone_1.0.orig.tar.gz"] = fault
    said = make_person(address=mirror.address, downloads=False).verify("deb:trixie/gone")
    said.concludes("undecided", 4, Cause.INFRASTRUCTURE)
    assert "gone_1.0.orig.tar.gz" in said.answer["reason"]


def test_a_mirror_that_is_down_gives_no_answer(make_person: MakePerson) -> None:
    """Nothing could be resolved, so nothing is published; the message says who did not answer."""
    with Loopback(Path("/nonexistent")) as server:
        address = server.address
    person = make_person(address=address)
    said = person.verify("deb:trixie/pair")
    assert said.code == 4
    assert said.answer["hint"]
    assert not list(person.results.rglob("dossier.json"))


@pytest.mark.parametrize("what", ["stranger", "expired", "too old", "another suite"])
def test_attack_an_inrelease_that_must_not_be_believed(
    twin: FrozenArchive, twin_mirror: Loopback, make_person: MakePerson, what: str
) -> None:
    """By another key, past its Valid-Until, two years old, of another suite: exit code 3, and nothing is built."""
    now = datetime.now(UTC)
    match what:
        case "stranger":
            twin.publish("trixie", key=SigningKey("Stranger"))
        case "expired":
            twin.publish("trixie", date=now - timedelta(days=9), valid_until=now - timedelta(days=2))
        case "too old":
            twin.publish("trixie", date=now - timedelta(days=730))
        case "another suite":
            twin.publish("trixie", Suite="oldstable", Codename="bookworm")
    person = make_person(address=twin_mirror.address)
    said = person.verify("deb:trixie/pair")
    assert said.code == 3
    assert "trixie InRelease" in said.answer["error"]
    assert not list(person.results.rglob("dossier.json"))


def test_attack_a_mirror_that_goes_back_in_time(
    twin: FrozenArchive, twin_mirror: Loopback, make_person: MakePerson
) -> None:
    """An older InRelease than the one seen before, validly signed, hides updates: refused."""
    person = make_person(address=twin_mirror.address)
    assert person.verify("deb:trixie/pair", "--dry-run").code == 0
    twin.publish("trixie", date=datetime.now(UTC) - timedelta(days=30))
    said = person.verify("deb:trixie/pair", "--dry-run")
    assert said.code == 3
    assert "accept_rollback" in said.answer["hint"]


def test_a_policy_may_accept_an_expired_index_and_the_evidence_says_so(
    twin: FrozenArchive, twin_mirror: Loopback, make_person: MakePerson
) -> None:
    """What was accepted against the default is in the published evidence."""
    now = datetime.now(UTC)
    twin.publish("trixie", date=now - timedelta(days=9), valid_until=now - timedelta(days=2))
    person = make_person(address=twin_mirror.address, more="[policy]\naccept_expired = true")
    said = person.verify("deb:trixie/pair", "--dry-run")
    assert said.code == 0
    (piece,) = [each for each in said.answer["evidence"] if each["subject"] == "debian trixie InRelease"]
    assert "accepted by policy" in " ".join(piece["not_checked"])


def test_a_copy_of_the_archive_with_its_real_key_is_believed(
    twin: FrozenArchive, twin_mirror: Loopback, make_person: MakePerson
) -> None:
    """The control for the attacks above: the same copy, properly signed, is accepted."""
    twin.publish("trixie")
    assert make_person(address=twin_mirror.address).verify("deb:trixie/pair", "--dry-run").code == 0
