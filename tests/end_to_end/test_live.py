"""Real releases from the live archive, rebuilt: invariants are asserted, verdicts printed, for packages move."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.end_to_end.person import Person, Said

pytestmark = [pytest.mark.live, pytest.mark.timeout(1800)]

Say = Callable[[str], None]
_CODES = {"reproduced": {0}, "equivalent": {0}, "different": {1}, "undecided": {3, 4}}


@pytest.fixture(scope="module")
def somebody(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Somebody with this machine's own mirrors; downloads, images and environments are kept from session to session."""
    home = tmp_path_factory.mktemp("live")
    cache = pytestconfig.rootpath / ".state" / "test-cache" / "live" / "cache"
    (home / "rebuilder.toml").write_text(f'cache = "{cache}"\nstate = "state"\nresults = "results"\n')
    return Person(home=home)


def _words(said: Said) -> str:
    answer = said.answer
    lines = [f"{answer['target']}: {answer['verdict']} {', '.join(answer['causes'])} {answer['reason']}"]
    lines += [
        f"    {name}: {each['verdict']} {each['causes']} {each['control']}" for name, each in said.artifacts.items()
    ]
    return "\n".join(lines)


def _holds_together(person: Person, said: Said) -> None:
    """Whatever the verdict: exit code, digests, documents and the stranger's check agree with it."""
    answer = said.answer
    assert said.code in _CODES[answer["verdict"]]
    assert answer["documents"]
    assert bool(answer["causes"]) == (answer["verdict"] != "reproduced")
    for each in said.artifacts.values():
        equal = each["reference"] is not None and each["reference"] == each["rebuilt"]
        assert (each["verdict"] == "reproduced") == equal
    for piece in answer["evidence"]:
        if piece["scheme"] == "openpgp-inrelease":
            assert piece["outcome"] == "verified"
    for directory in answer["documents"]:
        checked = person.check(Path(directory))
        assert checked.answer["holds"], checked.err
        assert checked.code in _CODES[checked.answer["verdict"]]


def test_cjson_of_trixie(somebody: Person, say: Say) -> None:
    """The package that the demo verifies."""
    said = somebody.verify("deb:trixie/cjson")
    say(_words(said))
    _holds_together(somebody, said)


@pytest.mark.slow
@pytest.mark.parametrize(
    "target",
    [
        "deb:trixie/lcms2",
        "deb:trixie/libssh2",
        "deb:trixie/munge",
        "deb:trixie/bubblewrap",
        "deb:trixie/libyaml-syck-perl",
        "deb:bookworm/cjson",
    ],
)
def test_real_releases(somebody: Person, say: Say, target: str) -> None:
    """Packages that were known to end in each verdict; what they end in today is printed."""
    said = somebody.verify(target)
    say(_words(said))
    _holds_together(somebody, said)


@pytest.mark.slow
def test_a_real_release_that_contains_the_date_of_its_build(somebody: Person, say: Say) -> None:
    """pgpool2's manual has the day of its build in each page: another clock changes it, and build-date is named."""
    said = somebody.verify("deb:bookworm/pgpool2", "--vary", "clock")
    say(_words(said))
    _holds_together(somebody, said)
    dossiers = [somebody.dossier(Path(directory)) for directory in said.answer["documents"]]
    variations = [variation for dossier in dossiers for variation in dossier.variations]
    say("\n".join(f"    {each.factor}: {each.changed} {each.findings}" for each in variations))
    if said.answer["verdict"] != "undecided":
        assert any(each.changed for each in variations) or "build-date" in said.answer["causes"]


@pytest.mark.slow
def test_sid_is_current_or_refused_as_stale(somebody: Person, say: Say) -> None:
    """A mirror may let a suite expire: then exit code 3, and nothing is built."""
    said = somebody.verify("deb:sid/hello", "--dry-run")
    say(said.out or said.err)
    assert said.code in {0, 3}
    assert said.code == 0 or "expired" in said.answer["error"]
