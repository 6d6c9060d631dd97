"""The environment: exact where a .buildinfo says what it was, inferred and said so where none does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rebuilder.model.cause import Cause
from tests.archive.key import SigningKey
from tests.archive.server import Loopback
from tests.end_to_end.conftest import MakePerson
from tests.end_to_end.person import Person
from tests.end_to_end.site import Site


@pytest.fixture
def historian(site: Site, make_person: MakePerson) -> Iterator[Person]:
    """Somebody whose settings name the snapshot archive."""
    with Loopback(site.snapshot.root) as server:
        yield make_person("historian", snapshot=server.address)


def _buildinfo(site: Site, name: str, target: Path, key: SigningKey | None, *, changes: str = "") -> Path:
    """Write the .buildinfo of a sample's published build, signed by `key`; `changes` is a line to get other digests."""
    (document,) = site.built[name].buildinfos
    lines = document.read_text().splitlines(keepends=True)
    text = "".join(f" {'0' * 32}{line[33:]}" if changes and line.endswith(f" {changes}\n") else line for line in lines)
    target.write_bytes(key.sign(text.encode()) if key else text.encode())
    return target


def test_a_buildinfo_brings_back_the_older_build_dependency(site: Site, historian: Person, tmp_path: Path) -> None:
    """The mirror has libdep 1.1-1 alone; the .buildinfo names 1.0-1, the snapshot has it: reproduced, exactly there."""
    document = _buildinfo(site, "linked", tmp_path / "linked.buildinfo", site.archive.developer)
    said = historian.verify("deb:trixie/linked", "--provenance", document)
    said.concludes("reproduced", 0)
    assert said.answer["environment"]["fidelity"] == "exact"
    plan = historian.dossier(said.result).plan
    assert plan is not None
    (added,) = [package for package in plan.environment.packages if package.name == "libdep"]
    assert added.version == "1.0-1"
    assert (added.archive or "").startswith("snapshot/")
    checked = historian.check(said.result)
    assert checked.code == 0, checked.err


def test_without_a_buildinfo_the_newer_dependency_shows(person: Person) -> None:
    """The suite's own environment is another one: a difference, and the answer says that it was inferred."""
    said = person.verify("deb:trixie/linked", "--no-control")
    said.concludes("different", 1, Cause.PAYLOAD_CHANGED)
    assert said.answer["environment"]["fidelity"] == "inferred"
    assert "no .buildinfo" in said.answer["environment"]["reason"]


def test_a_prepared_environment_is_used_again(person: Person) -> None:
    """What one run installed the next one finds; a control rebuild never does."""
    for run in range(2):
        said = person.run("verify", "deb:trixie/linked", *([] if run else ["--no-control"]))
        assert said.code == 1
    first, rest = said.err.partition("building once more")[::2]
    assert "cached environment" in first
    assert "installing 1 packages offline" not in first
    assert "fresh environment" in rest
    assert "installing 1 packages offline" in rest


def test_without_a_snapshot_an_older_dependency_is_unavailable(site: Site, person: Person, tmp_path: Path) -> None:
    """No other version is put in its place: undecided, with the name of what is missing and what to do."""
    document = _buildinfo(site, "linked", tmp_path / "linked.buildinfo", site.archive.developer)
    said = person.verify("deb:trixie/linked", "--provenance", document)
    said.concludes("undecided", 4, Cause.DEPENDENCY_UNAVAILABLE)
    assert "libdep" in said.answer["reason"]
    assert "debian.snapshot" in said.answer["hint"]


def test_attack_a_buildinfo_of_another_build(site: Site, historian: Person, tmp_path: Path) -> None:
    """A .buildinfo of another source is refused before anything is built."""
    document = _buildinfo(site, "dated", tmp_path / "dated.buildinfo", site.archive.developer)
    said = historian.verify("deb:trixie/linked", "--provenance", document)
    assert said.code == 3
    assert "dated" in said.answer["error"]


def test_attack_a_buildinfo_of_another_build_of_the_source(site: Site, historian: Person, tmp_path: Path) -> None:
    """A signed .buildinfo that names other bytes than the signed index is of another build, and refused."""
    target = tmp_path / "linked.buildinfo"
    document = _buildinfo(site, "linked", target, site.archive.developer, changes="linked_1.0-1_amd64.deb")
    said = historian.verify("deb:trixie/linked", "--provenance", document)
    assert said.code == 3
    assert "this .buildinfo is of another build" in said.answer["hint"]


@pytest.mark.parametrize("signer", ["nobody", "a stranger"])
def test_attack_a_buildinfo_that_no_known_key_signed(
    site: Site, historian: Person, tmp_path: Path, signer: str
) -> None:
    """Policy requires a known signature by default: undecided, untrusted, attested."""
    key = SigningKey("Stranger") if signer == "a stranger" else None
    document = _buildinfo(site, "linked", tmp_path / "linked.buildinfo", key)
    said = historian.verify("deb:trixie/linked", "--provenance", document)
    said.concludes("undecided", 3, Cause.UNTRUSTED_INPUT)
    assert not (said.result / "plan.json").exists()
    assert historian.check(said.result).code == 3
