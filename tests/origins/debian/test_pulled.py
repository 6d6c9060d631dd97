"""Base images that are pulled by digest: what vouches for them, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Never, cast

import pytest

from rebuilder.build.container import Engine, ImageRecord
from rebuilder.config import DebianSettings, Settings
from rebuilder.errors import DigestMismatch, EnvironmentUnavailable, HostileInput, UntrustedError
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.plan import ImageLock, Pulled
from rebuilder.origins.debian.base_images import BaseImages
from rebuilder.origins.debian.pulled import installed_in, lock_of, parse_installed
from rebuilder.origins.debian.snapshot import Snapshot
from rebuilder.origins.debian.supply import Supply
from rebuilder.origins.debian.view import SuiteView
from rebuilder.progress import Silent
from rebuilder.store.blobs import LocalBlobs
from tests.origins.debian.paragraphs import BASE, DATE, digest_of, view_of, write_index
from tests.origins.debian.test_dependencies import FakeEngine
from tests.origins.debian.test_exact import PAST, FakeSnapshot

REFERENCE = f"127.0.0.1:5000/base@{Digest.of(b'a manifest')}"
IMAGE = Digest.of(b"a configuration")
PULLED = Pulled(reference=REFERENCE, image=IMAGE)
DPKG = ("dpkg", "1.22", "Essential: yes")
OFFERED = (*BASE, DPKG)
HELD = [("apt", "3.0"), ("base-files", "13"), ("dpkg", "1.22"), ("libbase", "1.0-1")]
IDENTITIES = tuple((name, version, "amd64") for name, version in HELD)


def listing(*more: str) -> bytes:
    """What the image's dpkg-query prints."""
    return "".join([*(f"installed\t{name}\t{version}\tamd64\n" for name, version in HELD), *more]).encode()


class Registry(FakeEngine):
    """An engine that pulls one image, which holds what `output` lists."""

    def __init__(self, output: bytes = listing(), *, status: int = 0, errors: bytes = b"") -> None:
        super().__init__(output, status=status, errors=errors)
        self.gives = IMAGE
        self.pulled: list[str] = []
        self.held: set[Digest] = set()

    def pull(self, reference: str) -> Digest:
        """Hold the image."""
        self.pulled.append(reference)
        self.held.add(self.gives)
        return self.gives

    def image(self, image: Digest) -> ImageRecord | None:
        """Say whether it is held."""
        made_at = datetime(2026, 1, 1, tzinfo=UTC)
        return ImageRecord(image=image, labels={}, size_bytes=1, made_at=made_at) if image in self.held else None


def given(engine: Registry) -> Engine:
    """Pass for an engine: of its verbs only those are used that it has."""
    return cast("Engine", engine)


class Offline:
    """Downloads nothing."""

    def get(self, url: str, *, limit_bytes: int) -> Never:
        """Fail."""
        raise AssertionError(f"{url} is downloaded")

    def download(
        self, url: str, path: Path, *, size_bytes: int | None, digest: Digest | None, limit_bytes: int
    ) -> Never:
        """Fail."""
        raise AssertionError(f"{url} is downloaded")


@pytest.fixture
def view(tmp_path: Path) -> SuiteView:
    """Offer what the image holds, and more."""
    return view_of(write_index(tmp_path / "main", OFFERED))


@pytest.fixture
def machine(tmp_path: Path) -> Callable[..., BaseImages]:
    """Make the base images of a machine, with what `debian.images` says."""

    def make(name: str = "machine", **images: str) -> BaseImages:
        debian = DebianSettings(images=tuple(images.items()))
        home = tmp_path / name
        settings = Settings(cache=home / "cache", state=home / "state", results=home / "results", debian=debian)
        blobs = LocalBlobs(home / "blobs")
        return BaseImages(settings, Supply(settings, Offline(), blobs, Silent()), blobs, Silent())

    return make


# what is in an image


def test_the_packages_are_asked_for_without_network_in_the_image_itself() -> None:
    """dpkg-query's answer is all that is taken; packages of which only configuration is left are not there."""
    engine = Registry(listing("config-files\tgone\t1\tamd64\n", "not-installed\tnever\t\tamd64\n"))
    assert installed_in(given(engine), IMAGE) == IDENTITIES
    (spec,) = engine.started
    assert spec.image == IMAGE
    assert spec.command[0] == "dpkg-query"
    assert not spec.mounts[0].writable
    assert not spec.capabilities


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("half-configured\tmake\t4.4-1\tamd64\n", "'make' in the state 'half-configured'"),
        ("installed\t-oDir=/\t1\tamd64\n", "not a package name"),
        ("installed\tmake\t1 2\tamd64\n", "not a package version"),
        ("installed\tmake\t4.4-1\t../x\n", "not an architecture"),
        ("installed\tmake\n", "not an answer of dpkg-query"),
        ("installed\tapt\t3.0\tamd64\n", "lists a package twice"),
        ("installed\tmake\t4.4-1\tamd64\n" * 5001, "at most 5000"),
    ],
)
def test_attack_an_image_whose_dpkg_answers_nonsense(line: str, problem: str) -> None:
    """The answer comes out of an image that nobody vouches for yet."""
    with pytest.raises(HostileInput, match=problem):
        parse_installed(listing(line))


def test_an_image_that_is_no_debian_is_named() -> None:
    """Without dpkg-query, or without apt, no environment can be prepared in it."""
    with pytest.raises(EnvironmentUnavailable, match=r"cannot list its packages \(status 127\): no such program") as no:
        installed_in(given(Registry(b"", status=127, errors=b"no such program\n")), IMAGE)
    assert "dpkg and apt" in (no.value.hint or "")
    with pytest.raises(EnvironmentUnavailable, match=r"has no apt$"):
        installed_in(given(Registry(listing().replace(b"installed\tapt", b"installed\tapt-utils"))), IMAGE)


# who vouches for it


def test_each_package_gets_the_digest_of_a_signed_index(view: SuiteView) -> None:
    """The image says names and versions; what bytes they are says the archive. No installer is named."""
    lock = lock_of(view, PULLED, IDENTITIES)
    assert [(package.name, package.version) for package in lock.packages] == HELD
    assert all(package.digest == digest_of(package.name, package.version) for package in lock.packages)
    assert (lock.pulled, lock.installer, lock.suite, lock.epoch) == (PULLED, "", "trixie", int(DATE.timestamp()))


def test_attack_an_image_with_a_package_that_no_index_names(view: SuiteView) -> None:
    """A package of the attacker's, or another version of a known one: refused by name, with what to do."""
    held = (*IDENTITIES, ("implant", "1.0", "amd64"), ("make", "6.6-6", "amd64"), ("make", "4.4-1", "i386"))
    with pytest.raises(UntrustedError, match=r"holds implant 1\.0 amd64, make 6\.6-6 amd64, make 4\.4-1 i386") as no:
        lock_of(view, PULLED, held)
    assert "take another image, or a suite whose indices still list them" in (no.value.hint or "")
    assert "debian.snapshot" in (no.value.hint or "")


def test_what_was_listed_once_is_looked_up_in_the_snapshot(view: SuiteView, tmp_path: Path) -> None:
    """An image that is older than the suite is vouched for by the signed indices of its time."""
    held = (*IDENTITIES[:-1], ("libbase", "0.9-1", "amd64"))
    past = FakeSnapshot(write_index(tmp_path / "past", [("libbase", "0.9-1", "")], archive=PAST))
    found = {package.name: package for package in lock_of(view, PULLED, held, cast("Snapshot", past)).packages}
    assert found["libbase"].digest == digest_of("libbase", "0.9-1")
    with pytest.raises(UntrustedError, match=r"libbase 0\.9-1 amd64: no signed index of trixie names it"):
        lock_of(view, PULLED, held)


def test_attack_two_indices_that_disagree_about_a_version(view: SuiteView, tmp_path: Path) -> None:
    """Which of the two the image holds cannot be known, so neither is written down."""
    other = write_index(tmp_path / "other", [DPKG], archive="debian-security")
    text = other.path.read_text()
    other.path.write_text(text.replace(digest_of("dpkg", "1.22").hex, Digest.of(b"evil").hex))
    with pytest.raises(UntrustedError, match=r"list dpkg 1\.22 amd64 with two digests"):
        lock_of(replace(view, indices=(*view.indices, other)), PULLED, IDENTITIES)


# pulling it


def test_an_image_is_pulled_once(view: SuiteView, machine: Callable[..., BaseImages]) -> None:
    """Locked, then used: one pull. New indices read its packages again without asking the registry."""
    images, engine = machine(trixie=REFERENCE), Registry()
    lock = images.lock_chosen(view, given(engine))
    assert lock.pulled == PULLED
    assert images.ensure(lock, given(engine)) == IMAGE
    assert images.lock_chosen(view, given(engine)) == lock
    newer = replace(view, indices=tuple(replace(index, digest=Digest.of(b"new")) for index in view.indices))
    assert images.lock_chosen(newer, given(engine)) == lock
    assert engine.pulled == [REFERENCE]
    assert [made.image for made in images.made()] == [IMAGE]


def test_an_image_that_the_engine_lost_is_pulled_again(view: SuiteView, machine: Callable[..., BaseImages]) -> None:
    """And checked again."""
    images, engine = machine(), Registry()
    lock = images.lock_pulled(view, REFERENCE, given(engine))
    engine.held.clear()
    assert images.ensure(lock, given(engine)) == IMAGE
    assert engine.pulled == [REFERENCE, REFERENCE]
    assert len(engine.started) == 2


def test_a_suite_that_no_setting_names_is_bootstrapped(view: SuiteView, machine: Callable[..., BaseImages]) -> None:
    """The setting is for the suites that it names, by name or codename."""
    engine = Registry()
    assert machine("one", sid=REFERENCE).lock_chosen(view, given(engine)).pulled is None
    assert engine.pulled == []
    assert machine("two", trixie=REFERENCE).lock_chosen(replace(view, suite="stable"), given(engine)).pulled == PULLED


def test_attack_a_registry_that_gives_another_image(view: SuiteView, machine: Callable[..., BaseImages]) -> None:
    """The id must be the lock's; nothing of the other image is run, and it is not remembered."""
    lock = machine("author").lock_pulled(view, REFERENCE, given(Registry()))
    images, engine = machine("reader"), Registry()
    engine.gives = Digest.of(b"another configuration")
    with pytest.raises(DigestMismatch, match=rf"gave image {engine.gives.short}; its lock says {IMAGE.short}"):
        images.ensure(lock, given(engine))
    assert engine.started == []
    assert images.made() == ()


def test_attack_a_lock_that_leaves_out_a_package_of_its_image(
    view: SuiteView, machine: Callable[..., BaseImages]
) -> None:
    """What a lock from elsewhere says of an image is compared with the image."""
    lock = machine("author").lock_pulled(view, REFERENCE, given(Registry()))
    forged = replace(lock, packages=lock.packages[:-1])
    images, engine = machine("reader"), Registry()
    with pytest.raises(UntrustedError, match=r"holds other packages than its lock: libbase 1\.0-1 amd64"):
        images.ensure(forged, given(engine))
    assert images.made() == ()


def test_attack_a_refused_lock_does_not_name_the_image_later(
    view: SuiteView, machine: Callable[..., BaseImages]
) -> None:
    """A lock that claims another image of the engine for a reference is remembered, but never believed."""
    lock = machine("author").lock_pulled(view, REFERENCE, given(Registry()))
    images, engine = machine("reader"), Registry()
    other = Digest.of(b"somebody's image")
    engine.held.add(other)
    with pytest.raises(DigestMismatch):
        images.ensure(replace(lock, pulled=replace(PULLED, image=other)), given(engine))
    assert images.lock_pulled(view, REFERENCE, given(engine)).pulled == PULLED


def test_verifying_pulls_again_and_compares_id_and_packages(
    view: SuiteView, machine: Callable[..., BaseImages]
) -> None:
    """The same; another image; the same id with another list (an engine that lies, or a forged lock)."""
    images, engine = machine(), Registry()
    lock = images.lock_pulled(view, REFERENCE, given(engine))
    assert images.again(lock, IMAGE, given(engine)).is_same
    assert engine.pulled == [REFERENCE, REFERENCE]
    shorter = images.again(replace(lock, packages=lock.packages[1:]), IMAGE, given(engine))
    assert (shorter.is_same, shorter.odd) == (False, ("apt 3.0 amd64",))
    engine.gives, engine.started = Digest.of(b"another configuration"), []
    assert not images.again(lock, IMAGE, given(engine)).is_same
    assert engine.started == []


# as data


def test_a_lock_of_a_pulled_image_comes_back_as_itself(view: SuiteView) -> None:
    """The reference and the id are part of the lock, and so of the plan."""
    lock = lock_of(view, PULLED, IDENTITIES)
    assert codec.parse(codec.render(lock), ImageLock) == lock


def test_a_lock_from_before_has_the_bytes_it_had(view: SuiteView) -> None:
    """A bootstrapped image's lock does not speak of pulling, so digests that plans name stay."""
    lock = replace(lock_of(view, PULLED, IDENTITIES), pulled=None, installer="mmdebstrap 1.5")
    data = codec.render(lock)
    assert b"pulled" not in data
    assert codec.parse(data, ImageLock) == lock


@pytest.mark.parametrize(
    "change",
    [
        (b'"installer":""', b'"installer":"mmdebstrap 1.5"'),
        (REFERENCE.encode(), b"127.0.0.1:5000/base:latest"),
        (b"127.0.0.1:5000/base@", b"127.0.0.1:5000/base:tag@"),
        (b"127.0.0.1:5000/base@", b"--privileged@"),
    ],
)
def test_attack_a_lock_that_says_two_things(change: tuple[bytes, bytes], view: SuiteView) -> None:
    """Both bootstrapped and pulled; pulled without a digest; with a tag that nobody checks."""
    data = codec.render(lock_of(view, PULLED, IDENTITIES))
    assert change[0] in data
    with pytest.raises(HostileInput, match="ImageLock"):
        codec.parse(data.replace(*change), ImageLock)
