"""Which packages a base image is made of, and that its bootstrap is reproducible."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rebuilder.config import Settings
from rebuilder.errors import DigestMismatch, EnvironmentUnavailable, HostileInput
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.plan import ImageLock, Package
from rebuilder.origins.debian import apt, bootstrap
from rebuilder.origins.debian.archive import DebianArchive
from rebuilder.origins.debian.image import installer, is_listed, lock_image, settle, suite_to_build_in
from rebuilder.origins.debian.recipe import Selection, load_image_recipe
from rebuilder.origins.debian.repository import flat_files, write_flat
from rebuilder.origins.debian.supply import Supply
from rebuilder.progress import Silent
from rebuilder.store.blobs import LocalBlobs
from rebuilder.world import process
from rebuilder.world.files import digest_of
from rebuilder.world.http import HttpFetcher
from tests.archive.frozen import FrozenArchive
from tests.origins.debian import paragraphs
from tests.origins.debian.paragraphs import BASE, DATE, view_of, write_index


def test_a_lock_is_the_smallest_set_of_the_newest_versions(tmp_path: Path) -> None:
    """Essential packages, apt, build-essential, fakeroot and what they depend on, newest over all archives."""
    main = write_index(tmp_path / "main", [*BASE, ("unwanted", "1", ""), ("make", "4.3-1", "")])
    security = write_index(tmp_path / "security", [("libbase", "1.0-1+deb13u1", "")], archive="debian-security")
    lock = lock_image(view_of(main, security))
    assert {package.name: package.version for package in lock.packages} == {
        "apt": "3.0",
        "base-files": "13",
        "build-essential": "12",
        "fakeroot": "1.37-1",
        "libbase": "1.0-1+deb13u1",
        "make": "4.4-1",
    }
    assert lock.epoch == int(DATE.timestamp())
    assert lock.installer.startswith("mmdebstrap ")


def test_digests_come_from_the_verified_index_alone(tmp_path: Path) -> None:
    """What apt prints are MD5 sums; the lock has the index's SHA-256, and the archive that lists the file."""
    main = write_index(tmp_path / "main", BASE)
    security = write_index(tmp_path / "security", [("make", "4.4-2", "")], archive="debian-security")
    locked = {package.name: package for package in lock_image(view_of(main, security)).packages}
    assert locked["make"].digest == paragraphs.digest_of("make", "4.4-2")
    assert (locked["make"].archive, locked["apt"].archive) == ("debian-security", "debian")
    assert locked["make"].location == "pool/main/m/make/make_4.4-2_amd64.deb"


def test_versions_can_be_forced_down(tmp_path: Path) -> None:
    """An exact environment takes the version that was installed, though a newer one is offered."""
    index = write_index(tmp_path / "main", [*BASE, ("make", "1:5.0-1", "")])
    newest = {package.name: package.version for package in lock_image(view_of(index)).packages}
    forced = {
        package.name: package.version for package in lock_image(view_of(index), versions={"make": "4.4-1"}).packages
    }
    assert (newest["make"], forced["make"]) == ("1:5.0-1", "4.4-1")


def test_the_machines_own_apt_configuration_is_left_alone(tmp_path: Path) -> None:
    """Nothing of this machine's suite, pins or packages shapes a lock: twice, from anywhere, it is the same."""
    index = write_index(tmp_path / "main", BASE)
    moved = replace(index, path=Path(shutil.copy(index.path, tmp_path / "elsewhere")))
    assert codec.render(lock_image(view_of(index))) == codec.render(lock_image(view_of(moved)))


def test_a_set_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    """The message has apt's own words: which dependency of which package."""
    index = write_index(tmp_path / "main", [*BASE[:-2], ("make", "4.3-1", "Depends: nowhere"), BASE[-1]])
    with pytest.raises(EnvironmentUnavailable, match=r"base image of trixie amd64: .*make : Depends: nowhere"):
        lock_image(view_of(index))


def test_a_suite_without_a_package_of_the_recipe_says_which(tmp_path: Path) -> None:
    """An index of something that is no distribution gives no image."""
    with pytest.raises(EnvironmentUnavailable, match="Unable to locate package"):
        lock_image(view_of(write_index(tmp_path / "main", BASE[:-1])))


def test_an_equal_earlier_lock_is_kept(tmp_path: Path) -> None:
    """A new index that changes no package of the image gives no new image: the earlier lock stands, with its moment."""
    view = view_of(write_index(tmp_path / "main", BASE))
    earlier = lock_image(view)
    later = lock_image(replace(view, date=datetime(2026, 5, 1, tzinfo=UTC)))
    assert settle(later, [earlier]) is earlier
    other = replace(earlier, packages=earlier.packages[1:])
    assert settle(later, [other]) is later
    assert is_listed(earlier, view)
    assert not is_listed(replace(earlier, packages=(replace(earlier.packages[0], version="0"),)), view)


def test_a_suite_of_additions_is_built_in_its_base() -> None:
    """A security suite has no compiler; its packages are built in the suite that it secures."""
    built_in = {
        "trixie-security": "trixie",
        "trixie-updates": "trixie",
        "bookworm-backports": "bookworm",
        "experimental": "sid",
        "trixie": "trixie",
        "sid": "sid",
    }
    assert {suite: suite_to_build_in(suite) for suite in built_in} == built_in


def test_bookworm_gets_its_merged_usr_from_the_recipe() -> None:
    """Where base-files does not bring the links, they are made first, and the package that checks them is named."""
    recipe = load_image_recipe()
    assert "usr-is-merged" in recipe.selections("bookworm")
    assert "lib64" in recipe.linked("bookworm")
    assert "usr-is-merged" not in recipe.selections("trixie")
    assert recipe.linked("trixie") == ()


def test_every_choice_of_the_image_recipe_has_a_reason() -> None:
    """A pin without a reason is a defect."""
    recipe = load_image_recipe()
    reasons = [
        recipe.user.reason,
        *(package.reason for package in recipe.packages),
        *(link.reason for link in recipe.links),
        *(file.reason for file in recipe.files),
        *(removal.reason for removal in recipe.removals),
    ]
    assert all(len(reason) > len("because") for reason in reasons)


# apt's answers


ANSWER = b"'file:/r/0/./pool/main/m/make/make_4.4-1_amd64.deb' make_4.4-1_amd64.deb 1234 MD5Sum:00\n"


def test_apts_answer_is_read_with_epochs_and_escapes() -> None:
    """The colon of an epoch and the plus of a version are escaped there."""
    line = b"'file:/r/1/pool/g/g%2b%2b_4%3a14_amd64.deb' g++_4%3a14_amd64.deb 5 \n"
    (choice,) = apt.parse_uris(b"Reading package lists...\n" + line, "/r")
    assert (choice.name, choice.version, choice.repository) == ("g++", "4:14", 1)
    assert choice.location == "pool/g/g++_4:14_amd64.deb"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (ANSWER.replace(b"file:", b"http:"), "unreadable answer"),
        (ANSWER.replace(b"/r/0/", b"/r/0/../../etc/"), "outside the verified repositories"),
        (ANSWER.replace(b"/r/0/", b"/r/%2e%2e/x/"), "outside the verified repositories"),
        (ANSWER.replace(b"/r/0/", b"/other/0/"), "outside the verified repositories"),
        (ANSWER.replace(b" 1234", b" -1"), "unreadable answer"),
        (ANSWER.replace(b"make_4.4-1_amd64.deb 1", b"make.deb 1"), "unreadable answer"),
        (ANSWER * 5001, "at most 5000"),
    ],
)
def test_attack_an_answer_that_apt_never_gives(line: bytes, problem: str) -> None:
    """The answer comes out of a container that read a hostile .dsc: only its expected form is taken."""
    with pytest.raises(HostileInput, match=problem):
        apt.parse_uris(line, "/r")


# repositories


def _made(archive: FrozenArchive, filename: str) -> tuple[Package, dict[Digest, Path]]:
    path = archive.find(filename)
    name, version, rest = filename.split("_")
    package = Package(
        name=name,
        version=version,
        architecture=rest.removesuffix(".deb"),
        filename=filename,
        size_bytes=path.stat().st_size,
        digest=digest_of(path),
    )
    return package, {package.digest: path}


def test_a_repository_is_made_of_packages_alone(standard_archive: FrozenArchive, tmp_path: Path) -> None:
    """Paragraphs come from the .debs' own control files, with size and digest of the bytes; apt can read them."""
    package, debs = _made(standard_archive, "libgreeter1_1.0-1_amd64.deb")
    write_flat(tmp_path / "repository", [package], debs)
    (choice,) = apt.ask_host([tmp_path / "repository" / "Packages"], ["libgreeter1"], architecture="amd64")
    assert (choice.version, choice.location) == ("1.0-1", "libgreeter1_1.0-1_amd64.deb")
    assert f"SHA256: {package.digest.hex}\n" in (tmp_path / "repository" / "Packages").read_text()


def test_attack_a_deb_that_says_it_is_another(standard_archive: FrozenArchive) -> None:
    """A package whose control file has another name or version than the plan's is refused."""
    package, debs = _made(standard_archive, "libgreeter1_1.0-1_amd64.deb")
    with pytest.raises(HostileInput, match=r"expected libgreeter1_2\.0-1_amd64, its control file says"):
        flat_files([replace(package, version="2.0-1")], debs)


@pytest.mark.parametrize("filename", ["../evil.deb", "Packages", "a b.deb", ".deb/../x"])
def test_attack_a_package_file_name_that_leads_elsewhere(standard_archive: FrozenArchive, filename: str) -> None:
    """A lock from somebody else's document cannot name a path."""
    package, debs = _made(standard_archive, "libgreeter1_1.0-1_amd64.deb")
    with pytest.raises(HostileInput, match="not the file name of a package"):
        flat_files([replace(package, filename=filename)], debs)


@pytest.mark.parametrize(
    "change",
    [
        lambda package: replace(package, name="-oDPkg::Pre-Invoke::=id"),
        lambda package: replace(package, name="?essential"),
        lambda package: replace(package, version="1 2"),
        lambda package: replace(package, architecture="../x"),
    ],
)
def test_attack_a_package_that_is_named_like_an_option(
    standard_archive: FrozenArchive, change: Callable[[Package], Package]
) -> None:
    """What is handed to apt as a name must be one."""
    package, debs = _made(standard_archive, "libgreeter1_1.0-1_amd64.deb")
    with pytest.raises(HostileInput, match="not a"):
        flat_files([change(package)], debs)


# bootstrap


def _lock(package: Package) -> ImageLock:
    return ImageLock(
        distribution="debian",
        suite="trixie",
        architecture="amd64",
        epoch=1_760_000_000,
        installer="mmdebstrap 0.0",
        packages=(package,),
    )


def test_the_installers_version_is_what_it_says_when_asked() -> None:
    """It is read off the script, which is quicker, and is the same."""
    asked = process.run(["mmdebstrap", "--version"], timeout_s=30)
    assert installer() == asked.output.decode().strip()


@pytest.mark.parametrize(
    "text", ["#!/bin/sh\necho mmdebstrap 9.8.7\n", "#!/bin/sh\n# our $VERSION\necho mmdebstrap 9.8.7\n"]
)
def test_an_installer_that_does_not_state_its_version_is_asked(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the program is made of, its own answer counts."""
    program = tmp_path / "mmdebstrap"
    program.write_text(text)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    installer.cache_clear()
    assert installer() == "mmdebstrap 9.8.7"
    installer.cache_clear()


def test_a_lock_for_another_installer_is_not_bootstrapped(standard_archive: FrozenArchive, tmp_path: Path) -> None:
    """Another version of the bootstrap program may write other bytes: the lock names its own."""
    package, debs = _made(standard_archive, "libgreeter1_1.0-1_amd64.deb")
    with pytest.raises(EnvironmentUnavailable, match=r"made for mmdebstrap 0\.0, and here is mmdebstrap") as refused:
        bootstrap.bootstrap(_lock(package), debs, tmp_path / "image.tar")
    assert "new lock" in (refused.value.hint or "")


def test_attack_a_locked_package_with_other_bytes(
    spoiled_archive: FrozenArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes are hashed again before they are installed, and nothing is left when they are wrong."""
    package, debs = _made(spoiled_archive, "libgreeter1_1.0-1_amd64.deb")
    spoiled_archive.tamper("libgreeter1_1.0-1_amd64.deb")
    monkeypatch.setattr(bootstrap, "installer", lambda: "mmdebstrap 0.0")
    with pytest.raises(DigestMismatch):
        bootstrap.bootstrap(_lock(package), debs, tmp_path / "image.tar")
    assert list(tmp_path.glob("*.tar")) == []


@pytest.mark.live
@pytest.mark.slow
def test_a_bootstrap_is_the_same_twice_and_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The essential packages of trixie give the same bytes twice, in other directories, and none of this machine's."""
    settings = Settings(cache=tmp_path / "cache", state=tmp_path / "state", results=tmp_path / "results")
    blobs, fetcher = LocalBlobs(tmp_path / "blobs"), HttpFetcher()
    view = DebianArchive(settings, fetcher, blobs).view("trixie", datetime.now(UTC))
    smallest = (Selection(select="?essential", reason="a test"), Selection(select="apt", reason="a test"))
    recipe = replace(load_image_recipe(), packages=smallest)
    lock = lock_image(view, recipe=recipe)
    debs = Supply(settings, fetcher, blobs, Silent()).bring_locked(lock)
    first = digest_of(bootstrap.bootstrap(lock, debs, tmp_path / "first.tar", recipe=recipe))
    monkeypatch.setattr(bootstrap, "_MEMORY_DISK", tmp_path / "not-there")
    monkeypatch.setenv("TZ", "Pacific/Chatham")
    second = bootstrap.bootstrap(lock, debs, tmp_path / "else where" / "second.tar", recipe=recipe)
    assert digest_of(second) == first
    assert b"rebuilder-image-" not in second.read_bytes()
    with tarfile.open(second) as archive:
        names = set(archive.getnames())
        assert not names & {"./etc/hostname", "./etc/resolv.conf", "./etc/apt/sources.list", "./etc/machine-id"}
        stream = archive.extractfile("./etc/passwd")
        assert stream is not None
        assert b"builduser:*:1000:1000::/nonexistent:/bin/sh\n" in stream.read()
