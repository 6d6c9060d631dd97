"""Whether a file that somebody has is what the published source gives."""

from __future__ import annotations

from pathlib import Path

from rebuilder.model.cause import Cause
from tests.end_to_end.person import Person
from tests.end_to_end.site import Site, change_program


def test_a_genuine_file_is_reproduced(site: Site, person: Person) -> None:
    """The signed index names its bytes, and the rebuild gives them: this one file is answered for."""
    said = person.verify(site.deb("rebuilt"), "--suite", "trixie")
    said.concludes("reproduced", 0)
    assert list(said.artifacts) == ["rebuilt_1.0-1+b1_amd64.deb"]


def test_a_genuine_file_is_reproduced_where_the_published_one_is_not(site: Site, person: Person) -> None:
    """The archive publishes a tampered `solid`; the file at hand is what the source gives, and the answer says both.

    A gate does not open: the archive signed for other bytes, so the exit code is 3.
    """
    said = person.verify(site.deb("solid"), "--suite", "trixie")
    said.concludes("reproduced", 3)
    assert [each["scheme"] for each in said.answer["disowned"]] == ["local-file"]
    assert "the signed index names" in said.answer["reason"]
    assert "Not what was signed for" in (said.result / "index.html").read_text()
    local = [each["outcome"] for each in said.answer["evidence"] if each["scheme"] == "local-file"]
    assert local == ["refused", "not-checked"]


def test_a_tampered_copy_is_different(site: Site, person: Person, tmp_path: Path) -> None:
    """One changed byte of the program: different, with the cause; and it is not the published file."""
    tampered = change_program(site.deb("located"), tmp_path / "located_1.0-1_amd64.deb")
    said = person.verify(tampered, "--suite", "trixie", "--no-control")
    assert (said.answer["verdict"], said.code) == ("different", 1)
    assert said.answer["causes"][0] == Cause.PAYLOAD_CHANGED
    assert "payload-changed" in person.run("report", said.result).out


def test_a_file_that_is_no_package_is_refused(person: Person, tmp_path: Path) -> None:
    """Rubbish with the name of a package: a clear error, nothing published."""
    path = tmp_path / "rubbish.deb"
    path.write_bytes(b"!<arch>\nrubbish")
    said = person.verify(path, "--suite", "trixie")
    assert said.code == 3
    assert "rubbish.deb" in said.answer["error"]


def test_a_corrupted_copy_is_refused(site: Site, person: Person, tmp_path: Path) -> None:
    """A .deb that was cut short."""
    path = tmp_path / "solid_1.0-1_amd64.deb"
    path.write_bytes(site.deb("solid").read_bytes()[:900])
    said = person.verify(path, "--suite", "trixie")
    assert said.code == 3
    assert not list(person.results.rglob("dossier.json"))
