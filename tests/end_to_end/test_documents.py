"""What is published about real rebuilds: signed, complete, checkable by strangers, and by nobody forged."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rebuilder.attest.keys import Role
from rebuilder.attest.keystore import key_uri, load_public_key
from rebuilder.attest.layout import make_layout, sign_layout
from rebuilder.attest.signing import open_signer
from tests.end_to_end.person import Person, Said
from tests.end_to_end.site import Site

InToto = Callable[[Path, str, bytes], subprocess.CompletedProcess[str]]
"""Runs in-toto-verify on (directory of links, file name, content)."""
_CLIENT = Path(sys.executable).parent / "in-toto-verify"


def _files(directory: Path) -> set[str]:
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}


def _result_of(said: Said, architecture: str) -> Path:
    return next(Path(each) for each in said.answer["documents"] if Path(each).parent.name == architecture)


@pytest.fixture(scope="module")
def layout(regular: Person, tmp_path_factory: pytest.TempPathFactory) -> InToto:
    """Give what runs in-toto-verify under a layout over the regular person's key, in a directory with one file."""
    home = tmp_path_factory.mktemp("layout")
    assert regular.run("keys", "init", "--role", "owner", "--role", "attestation").code == 0
    owner = regular.key("owner")
    rebuilders = [load_public_key(regular.key())]
    now = datetime.now(UTC)
    made = make_layout(rebuilders, threshold=1, expires=now + timedelta(days=30))
    signer = open_signer(key_uri(regular.settings.state, Role.OWNER))
    (home / "root.layout").write_bytes(sign_layout(made, signer, now=now))

    def verify(links: Path, name: str, content: bytes) -> subprocess.CompletedProcess[str]:
        place = home / "place"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        (place / name).write_bytes(content)
        command: Sequence[str | Path] = [_CLIENT, "--layout", home / "root.layout", "--verification-keys", owner]
        return subprocess.run(
            [*command, "--link-dir", links], cwd=place, capture_output=True, text=True, timeout=60, check=False
        )

    return verify


@pytest.mark.parametrize("form", ["metablock", "dsse"])
def test_in_toto_verify_accepts_what_was_reproduced_and_refuses_a_tampered_copy(
    site: Site,
    verified: Callable[[str], Said],
    layout: InToto,
    form: str,
) -> None:
    """The stock client, a generated layout, our links, the published .deb: as published, as apt names it, changed."""
    links = _result_of(verified("pair"), "amd64") / "links" / "pair_1.0-1_amd64.deb" / form
    genuine = site.deb("pair").read_bytes()
    assert layout(links, "pair_1.0-1_amd64.deb", genuine).returncode == 0
    assert layout(links, "pair_1%3a1.0-1_amd64.deb", genuine).returncode == 0
    tampered = layout(links, "pair_1.0-1_amd64.deb", genuine[:-1] + b"?")
    assert tampered.returncode == 1
    assert "DISALLOW" in tampered.stderr + tampered.stdout


def test_in_toto_verify_has_nothing_to_accept_a_difference_by(
    site: Site, verified: Callable[[str], Said], layout: InToto
) -> None:
    """A difference is signed under another step and path: not even its links as such make a client accept it."""
    result = verified("solid").result
    assert not (result / "links").exists()
    name = "solid_1.0-1_amd64.deb"
    apart = result / "unreproduced" / name / "metablock"
    assert [path.name.partition(".")[0] for path in apart.iterdir()] == ["rebuild-different"]
    assert layout(apart, name, site.archive.find(name).read_bytes()).returncode == 1


def test_a_match_is_published_with_everything_that_a_reader_needs(verified: Callable[[str], Said]) -> None:
    """Dossier, plan, lock, the builder's record, statements for each file, log, the rebuild's .buildinfo, page."""
    files = _files(_result_of(verified("pair"), "amd64"))
    assert {
        "dossier.json",
        "plan.json",
        "lock.json",
        "builder.dsse.json",
        "logs/build.log.zst",
        "outputs/pair_1.0-1_amd64.buildinfo",
        "index.html",
        *(
            f"attestations/{name}_1.0-1_amd64.deb/{kind}.dsse.json"
            for name in ("pair", "libpair1")
            for kind in ("verdict", "slsa-provenance", "slsa-vsa")
        ),
    } <= files
    assert not [path for path in files if path.startswith(("artifacts/", "reports/", "unreproduced/"))]


def test_a_difference_is_published_with_both_files_and_a_report(verified: Callable[[str], Said]) -> None:
    """Whoever doubts it can compare for themselves."""
    name = "solid_1.0-1_amd64.deb"
    files = _files(verified("solid").result)
    assert {
        f"artifacts/reference/{name}",
        f"artifacts/rebuilt/{name}",
        *(f"reports/{name}/diffoscope.{suffix}" for suffix in ("html", "txt", "json")),
        "logs/control.log.zst",
        "control.dsse.json",
    } <= files
    assert "good Morning" in (verified("solid").result / f"reports/{name}/diffoscope.txt").read_text()


@pytest.mark.parametrize(("name", "code"), [("pair", 0), ("solid", 1), ("located", 0)])
def test_check_computes_each_verdict_again(
    regular: Person, verified: Callable[[str], Said], name: str, code: int
) -> None:
    """A stranger with the key recomputes verdict, signatures and the chain from keyring to file, offline."""
    for result in verified(name).answer["documents"]:
        checked = regular.check(Path(result))
        assert checked.code == code, checked.err
        assert checked.answer["holds"]
        assert checked.answer["verdict"] == verified(name).answer["verdict"]
        lines = " ".join(checked.answer["verified"])
        assert "3 InRelease files are signed by keys of the given archive keyring" in lines
        assert ("compared once more, with the same answer" in lines) == (name != "pair")


def test_check_refuses_another_key(make_person: Callable[..., Person], verified: Callable[[str], Said]) -> None:
    """A key that did not sign vouches for nothing."""
    stranger = make_person("stranger")
    assert stranger.run("keys", "init").code == 0
    checked = stranger.check(verified("rebuilt").result)
    assert checked.code == 3
    assert "hint" in checked.err


def test_attack_one_changed_bit_in_any_file_of_a_result(
    regular: Person, verified: Callable[[str], Said], tmp_path: Path
) -> None:
    """Every file of a real result is flipped in turn, pages too: each time the check refuses, with exit code 3."""
    original = verified("solid").result
    place = original.relative_to(regular.results)
    copy = tmp_path / "results"
    shutil.copytree(regular.results, copy)
    result, key = copy / place, regular.key()
    for name in sorted(_files(result)):
        path = result / name
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :])
        checked = regular.run("check", "--json", result, "--key", key)
        assert checked.code == 3, f"{name}: {checked.out}"
        path.write_bytes(data)
    assert regular.run("check", "--json", result, "--key", key).code == 1


def test_attack_one_changed_bit_in_a_shared_index(
    regular: Person, verified: Callable[[str], Said], tmp_path: Path
) -> None:
    """The signed indices beside the results are verified again, not believed."""
    place = verified("rebuilt").result.relative_to(regular.results)
    copy = tmp_path / "results"
    shutil.copytree(regular.results, copy)
    key = regular.key()
    dossier = json.loads((copy / place / "dossier.json").read_bytes())
    for text in dossier["release"]["indices"]:
        digest = text.removeprefix("sha256:")
        path = copy / "blobs" / "sha256" / digest[:2] / digest
        data = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        assert regular.run("check", copy / place, "--key", key).code == 3
        path.write_bytes(data)
    assert regular.run("check", copy / place, "--key", key).code == 0


def test_replay_makes_the_same_bytes(regular: Person, verified: Callable[[str], Said]) -> None:
    """A published document is enough to run its rebuild again, to the same bytes."""
    said = regular.run("replay", "--json", "--quiet", verified("rebuilt").result)
    assert (said.code, said.answer["verdict"], said.answer["same_as_published"]) == (0, "reproduced", True), said.err


def test_a_lost_ledger_is_made_again_from_the_results(
    regular: Person, verified: Callable[[str], Said], tmp_path: Path
) -> None:
    """The documents alone give the same conclusions, in a ledger that was empty."""
    verified("solid")
    history = regular.run("ledger", "history", "solid", "--json").out
    other = tmp_path / "rebuilder.toml"
    other.write_text(regular.config.read_text().replace(str(regular.settings.state), str(tmp_path / "state")))
    person = Person(home=tmp_path)
    assert person.run("ledger", "history", "solid", "--json").out == "[]\n"
    rebuilt = person.run("ledger", "rebuild", "--json", "--results", regular.results)
    assert (rebuilt.code, rebuilt.answer["refused"]) == (0, []), rebuilt.out
    assert person.run("ledger", "history", "solid", "--json").out == history


def test_the_index_lists_every_result(regular: Person, verified: Callable[[str], Said]) -> None:
    """Badge, index and pointer follow from the documents."""
    result = verified("solid").result
    index = json.loads((regular.results / "index.json").read_bytes())
    assert "solid" in json.dumps(index)
    assert json.loads((result.parent / "latest.json").read_bytes())
    badge = json.loads((result.parents[2] / "badge.json").read_bytes())
    assert "different" in badge["message"]


@dataclass(frozen=True, kw_only=True)
class Twice:
    """A package that was verified a second time."""

    first: Path
    """The first result."""
    page: bytes
    """Its page, as it was before there was a second."""
    said: Said
    """What the second run said, as a person reads it."""


@pytest.fixture(scope="module")
def twice(regular: Person, verified: Callable[[str], Said]) -> Twice:
    """Verify a package once more."""
    first = verified("rebuilt").result
    page = (first / "index.html").read_bytes()
    return Twice(first=first, page=page, said=regular.run("verify", "deb:trixie/rebuilt"))


def test_a_second_run_is_a_second_result(twice: Twice) -> None:
    """Shown as a table: verdict, file and page. The same plan, a later ordinal; the pointer names the newer."""
    assert twice.said.code == 0
    assert "reproduced" in twice.said.out
    assert "index.html" in twice.said.out
    assert "build" in twice.said.err
    (second,) = [path for path in twice.first.parent.iterdir() if path.is_dir() and path != twice.first]
    plan, _, ordinal = second.name.rpartition("-")
    assert twice.first.name == f"{plan}-0"
    assert int(ordinal) > 0
    assert second.name in (twice.first.parent / "latest.json").read_text()


def test_a_page_from_before_a_killed_run_is_no_forgery(twice: Twice, regular: Person, tmp_path: Path) -> None:
    """While `.pending` says that pages lag behind, the page of an earlier state holds; any other page never does."""
    assert (twice.first / "index.html").read_bytes() != twice.page
    copy = tmp_path / "results"
    shutil.copytree(regular.results, copy)
    result, key = copy / twice.first.relative_to(regular.results), regular.key()
    (result / "index.html").write_bytes(twice.page)
    assert regular.run("check", result, "--key", key).code == 3
    (copy / ".pending").touch()
    assert regular.run("check", result, "--key", key).code == 0
    (result / "index.html").write_bytes(twice.page.replace(b"reproduced", b"Reproduced"))
    assert regular.run("check", result, "--key", key).code == 3
