"""Build-dependencies, as an offline apt in a container chooses them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from rebuilder.build.container import Engine, Spec, State
from rebuilder.errors import DependencyUnavailable, HostileInput
from rebuilder.model.digest import Digest
from rebuilder.model.plan import Package
from rebuilder.origins.debian.dependencies import Kind, Wish, build_dependencies
from rebuilder.origins.debian.index import IndexFile
from tests.origins.debian.paragraphs import digest_of, write_index

IMAGE = Digest.of(b"an image")
PACKAGES = [("libdep-dev", "1:1.0-1", ""), ("gcc", "14", "")]
ANSWER = b"""\
Reading package lists...
The following NEW packages will be installed:
  libdep-dev
'file:/input/0/pool/main/l/libdep-dev/libdep-dev_1.0-1_amd64.deb' libdep-dev_1%3a1.0-1_amd64.deb 1234 MD5Sum:00
"""


class FakeEngine:
    """Runs nothing: every container writes the same and ends with the same status."""

    def __init__(self, output: bytes = ANSWER, *, errors: bytes = b"", status: int = 0) -> None:
        self.output, self.errors, self.status = output, errors, status
        self.started: list[Spec] = []
        self.files: dict[str, bytes] = {}

    @contextmanager
    def volume(self) -> Iterator[str]:
        """Give a name."""
        yield "a volume"

    @contextmanager
    def container(self, spec: Spec) -> Iterator[FakeContainer]:
        """Give a container of that specification."""
        yield FakeContainer(self, spec)


class FakeContainer:
    """See FakeEngine."""

    def __init__(self, engine: FakeEngine, spec: Spec) -> None:
        self._engine, self._spec = engine, spec

    def put(self, path: str, tar: Iterable[bytes]) -> None:
        """Remember the files."""
        assert path == "/input"
        with tarfile.open(fileobj=io.BytesIO(b"".join(tar))) as archive:
            for entry in archive:
                stream = archive.extractfile(entry)
                if stream is not None:
                    self._engine.files[entry.name] = stream.read()

    def start(self) -> Iterator[tuple[bytes, bytes]]:
        """Write the answer."""
        self._engine.started.append(self._spec)
        return iter([(self._engine.output, self._engine.errors)])

    def wait(self, timeout_s: float) -> State:
        """Have ended."""
        return State(running=False, status=self._engine.status, memory_exhausted=False)


@pytest.fixture
def index(tmp_path: Path) -> IndexFile:
    """Write a verified index."""
    return write_index(tmp_path / "main", PACKAGES)


def _wish(tmp_path: Path, kind: Kind = Kind.ANY) -> Wish:
    path = tmp_path / "hello.dsc"
    path.write_bytes(b"Source: hello\n")
    return Wish(dsc=Digest.of(b"Source: hello\n"), path=path, kind=kind, architecture="amd64")


def _ask(
    engine: FakeEngine, image: Digest, indices: Sequence[IndexFile], wish: Wish, *, answers: Path
) -> tuple[Package, ...]:
    return build_dependencies(cast("Engine", engine), image, indices, wish, answers=answers)


def test_apts_choice_gets_its_digest_from_the_signed_index(index: IndexFile, tmp_path: Path) -> None:
    """The MD5 sum that apt prints is not looked at."""
    (package,) = _ask(FakeEngine(), IMAGE, [index], _wish(tmp_path), answers=tmp_path / "answers")
    assert (package.name, package.version) == ("libdep-dev", "1:1.0-1")
    assert package.digest == digest_of("libdep-dev", "1:1.0-1")


def test_the_container_sees_the_indices_and_the_dsc_and_asks_for_one_kind(index: IndexFile, tmp_path: Path) -> None:
    """-B's build-dependencies are arch-only, -A's indep-only; no build profile is set."""
    for kind, option in ((Kind.ANY, "--arch-only"), (Kind.ALL, "--indep-only")):
        engine = FakeEngine()
        _ask(engine, IMAGE, [index], _wish(tmp_path, kind), answers=tmp_path / "answers")
        (spec,) = engine.started
        assert spec.command[2].endswith(f"--print-uris {option} build-dep /input/source.dsc")
        assert not any("PROFILE" in name for name, _ in spec.environment)
        lists = "lists/_input_0_._Packages"
        assert set(engine.files) == {"apt.conf", "preferences", "sources.list", "source.dsc", lists}
        assert engine.files[lists] == index.path.read_bytes()


def test_apt_finds_the_lists_without_update(index: IndexFile, tmp_path: Path) -> None:
    """The indices lie read-only under the names that apt gives to lists, and apt is told where that is."""
    engine = FakeEngine()
    _ask(engine, IMAGE, [index, index], _wish(tmp_path), answers=tmp_path / "answers")
    assert b'Dir::State::Lists "/input/lists";' in engine.files["apt.conf"]
    assert "update" not in engine.started[0].command[2]
    assert {name for name in engine.files if name.startswith("lists/")} == {
        "lists/_input_0_._Packages",
        "lists/_input_1_._Packages",
    }


def test_an_answer_is_kept_for_the_same_question_only(index: IndexFile, tmp_path: Path) -> None:
    """The same image, indices, .dsc and kind start no container; another of these does."""
    engine, answers = FakeEngine(), tmp_path / "answers"
    first = _ask(engine, IMAGE, [index], _wish(tmp_path), answers=answers)
    assert _ask(engine, IMAGE, [index], _wish(tmp_path), answers=answers) == first
    assert len(engine.started) == 1
    _ask(engine, Digest.of(b"other"), [index], _wish(tmp_path), answers=answers)
    _ask(engine, IMAGE, [index], _wish(tmp_path, Kind.ALL), answers=answers)
    assert len(engine.started) == 3


def test_attack_a_kept_answer_that_was_changed(index: IndexFile, tmp_path: Path) -> None:
    """What is kept are names and versions: the digest is looked up again, and a damaged answer is asked for anew."""
    engine, answers = FakeEngine(), tmp_path / "answers"
    _ask(engine, IMAGE, [index], _wish(tmp_path), answers=answers)
    (kept,) = answers.iterdir()
    kept.write_bytes(kept.read_bytes().replace(b"1:1.0-1", b"1:6.6-6"))
    with pytest.raises(DependencyUnavailable, match="which the signed index does not list"):
        _ask(engine, IMAGE, [index], _wish(tmp_path), answers=answers)
    kept.write_bytes(b"{")
    assert _ask(engine, IMAGE, [index], _wish(tmp_path), answers=answers)
    assert len(engine.started) == 2


@pytest.mark.parametrize(
    ("output", "errors", "words"),
    [
        (
            (
                b"The following packages have unmet dependencies:\n"
                b" builddeps:/input/source.dsc : Depends: nowhere but it is not installable\n"
            ),
            b"E: Unable to correct problems, you have held broken packages.\n",
            r"build-dependencies \(any\): Depends: nowhere but it is not installable",
        ),
        (b"", b"E: Unable to find a source package\nE: \x1b[31mred\n", r"Unable to find a source package; \?\[31mred"),
        (b"", b"", "no message"),
    ],
)
def test_what_cannot_be_satisfied_is_said_in_apts_words(
    index: IndexFile, tmp_path: Path, output: bytes, errors: bytes, words: str
) -> None:
    """The message has the unmet dependency, else apt's errors, printable."""
    with pytest.raises(DependencyUnavailable, match=words):
        _ask(
            FakeEngine(output, errors=errors, status=100), IMAGE, [index], _wish(tmp_path), answers=tmp_path / "answers"
        )


def test_a_build_that_would_remove_base_packages_is_refused(index: IndexFile, tmp_path: Path) -> None:
    """An environment is the base plus packages, so one that is not cannot be written down."""
    output = b"The following packages will be REMOVED:\n  fakeroot\nThe following NEW packages will be installed:\n"
    with pytest.raises(DependencyUnavailable, match="would remove packages of the base image: fakeroot"):
        _ask(FakeEngine(output), IMAGE, [index], _wish(tmp_path), answers=tmp_path / "answers")


def test_attack_a_package_that_the_index_does_not_list(index: IndexFile, tmp_path: Path) -> None:
    """An answer that names another version, or another place, than the signed index is refused."""
    for changed in (ANSWER.replace(b"1%3a1.0-1", b"1%3a9"), ANSWER.replace(b"/l/", b"/x/")):
        with pytest.raises(DependencyUnavailable, match="which the signed index does not list"):
            _ask(FakeEngine(changed), IMAGE, [index], _wish(tmp_path), answers=tmp_path / "answers")


def test_attack_an_address_elsewhere(index: IndexFile, tmp_path: Path) -> None:
    """Only files of the repositories that were put there can be named."""
    changed = ANSWER.replace(b"file:/input/0/", b"file:/input/../etc/")
    with pytest.raises(HostileInput, match="outside the verified repositories"):
        _ask(FakeEngine(changed), IMAGE, [index], _wish(tmp_path), answers=tmp_path / "answers")
