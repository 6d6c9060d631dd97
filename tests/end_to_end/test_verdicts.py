"""Each verdict, of a real build: what is said, and with which exit code."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rebuilder.model.cause import Cause
from tests.archive.server import Fault, Loopback
from tests.end_to_end.conftest import MakePerson
from tests.end_to_end.person import Person, Said


def test_every_package_of_a_source_is_reproduced(verified: Callable[[str], Said]) -> None:
    """Packages of both kinds are rebuilt apart, as buildds do, and each .deb is bit for bit the published one."""
    said = verified("pair")
    said.concludes("reproduced", 0)
    assert {name: each["verdict"] for name, each in said.artifacts.items()} == dict.fromkeys(
        ("libpair1_1.0-1_amd64.deb", "pair_1.0-1_amd64.deb", "pair-doc_1.0-1_all.deb"), "reproduced"
    )
    assert all(each["reference"] == each["rebuilt"] for each in said.artifacts.values())
    assert said.answer["environment"]["fidelity"] == "inferred"
    assert len(said.answer["documents"]) == 2


def test_one_changed_byte_of_a_program_is_different(verified: Callable[[str], Said]) -> None:
    """md5sums that still speak of the genuine program hide nothing, and are themselves found to be stale."""
    said = verified("solid")
    said.concludes("different", 1, Cause.PAYLOAD_CHANGED, Cause.ARCHIVE_METADATA)
    assert said.artifacts["solid_1.0-1_amd64.deb"]["control"] == "deterministic"


def test_a_build_id_alone_is_equivalent(verified: Callable[[str], Said]) -> None:
    """The elf-build-id stabilizer is named, and no other; policy accepts it unless told otherwise."""
    said = verified("located")
    said.concludes("equivalent", 0, Cause.BUILD_ID)
    assert said.artifacts["located_1.0-1_amd64.deb"]["stabilizers"] == ["elf-build-id/1"]


def test_a_binary_only_rebuild_is_rebuilt_as_one(verified: Callable[[str], Said]) -> None:
    """Of two versions in the index the newer is compared, built with the changelog entry that its .deb carries."""
    said = verified("rebuilt")
    said.concludes("reproduced", 0)
    assert list(said.artifacts) == ["rebuilt_1.0-1+b1_amd64.deb"]
    assert said.answer["environment"]["plans"][0]["version"] == "1.0-1+b1"


def test_a_build_that_rolls_dice_is_nondeterministic(verified: Callable[[str], Said]) -> None:
    """The control rebuild is different again, and the answer says so."""
    said = verified("dice")
    said.concludes("different", 1, Cause.PAYLOAD_CHANGED, Cause.RANDOMNESS)
    assert said.artifacts["dice_1.0-1_amd64.deb"]["control"] == "nondeterministic"


def test_a_run_under_another_clock_names_the_compiled_in_date(person: Person) -> None:
    """The variation run says that the clock shapes the package; the verdict is what it was without."""
    said = person.verify("deb:trixie/dated", "--vary", "clock", "--no-control")
    assert (said.answer["verdict"], said.code) == ("different", 1)
    (variation,) = person.dossier(said.result).variations
    assert (variation.factor, variation.changed) == ("clock", ("dated_1.0-1_amd64.deb",))


def test_several_targets_end_with_the_gravest_code(mirror: Loopback, make_person: MakePerson) -> None:
    """One object a target, in the order asked; 4 outweighs 1, and 3 outweighs 4."""
    mirror.faults["/gone_1.0.orig.tar.gz"] = Fault.NOT_FOUND
    mirror.faults["/pair_1.0-1_amd64.deb"] = Fault.FLIPPED
    person = make_person(address=mirror.address, downloads=False)
    said = person.verify("deb:trixie/solid", "deb:trixie/gone", "--no-control")
    assert [answer["verdict"] for answer in said.answers] == ["different", "undecided"]
    assert said.code == 4
    assert person.verify("deb:trixie/gone", "deb:trixie/pair").code == 3


@pytest.mark.parametrize(
    ("target", "message"),
    [("deb:trixie/pear", "pear"), ("deb:forky/pair", "forky"), ("deb:trixie/pair=9.9-1", "9.9-1"), ("pair", "pair")],
)
def test_what_cannot_be_resolved_is_a_usage_error(person: Person, target: str, message: str) -> None:
    """Unknown package, suite, version or form: exit code 2, a hint, nothing published."""
    said = person.verify(target)
    assert said.code == 2
    assert message in said.err + said.out
    assert "hint" in said.err + said.out
    assert not list(person.results.rglob("dossier.json"))
