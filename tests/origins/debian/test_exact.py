"""The environment that a .buildinfo describes, found in mirrors and snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from rebuilder.errors import DependencyUnavailable, EnvironmentUnavailable
from rebuilder.model.digest import Digest
from rebuilder.model.release import FileReference
from rebuilder.origins.debian.buildinfo import Buildinfo, Installed
from rebuilder.origins.debian.exact import ExactSet, describe, exact_set
from rebuilder.origins.debian.index import IndexFile, find_packages
from rebuilder.origins.debian.snapshot import Found, Sought
from tests.origins.debian.paragraphs import BASE, Paragraph, view_of, write_index

PAST = "snapshot/debian/20251101T000000Z"
BUILT_WITH = {"base-files": "13", "libbase": "1.0-1", "build-essential": "12", "make": "4.4-1", "libdep-dev": "1.0-1"}
"""What a .buildinfo lists: neither apt nor fakeroot."""
DEPENDENCY: Paragraph = ("libdep-dev", "1.0-1", "Depends: libbase")


class FakeSnapshot:
    """Has one index of the past."""

    def __init__(self, index: IndexFile) -> None:
        self.index = index
        self.asked: tuple[Sequence[Sought], Sequence[str]] | None = None

    def find(self, sought: Sequence[Sought], suites: Sequence[str]) -> Found:
        """See Snapshot.find."""
        self.asked = (sought, suites)
        listed = {
            (stanza.package.name, stanza.package.version): stanza.package
            for stanza in find_packages(self.index, {each.name for each in sought})
        }
        packages = {each: listed[each.name, each.version] for each in sought if (each.name, each.version) in listed}
        return Found(packages=packages, indices=(self.index,), evidence=())


def _buildinfo(installed: dict[str, str], architecture: str = "amd64") -> Buildinfo:
    return Buildinfo(
        source="greeter",
        source_version="1.0-1",
        version="1.0-1",
        build_architecture=architecture,
        files=(FileReference(filename="greeter_1.0-1_amd64.deb", size_bytes=1, digest=Digest.of(b"")),),
        installed=tuple(Installed(name=name, version=each, architecture=None) for name, each in installed.items()),
        build_path=None,
        variables=(),
        changelog=None,
    )


def _versions(exact: ExactSet) -> dict[str, str]:
    return {package.name: package.version for package in (*exact.lock.packages, *exact.packages)}


def test_every_listed_version_is_used_and_what_is_added_is_named(tmp_path: Path) -> None:
    """The base image is made of the exact versions, the rest comes on top, and apt is added from the suite."""
    exact = exact_set(view_of(write_index(tmp_path / "main", [*BASE, DEPENDENCY])), _buildinfo(BUILT_WITH), None)
    assert _versions(exact) == {**BUILT_WITH, "apt": "3.0", "fakeroot": "1.37-1"}
    assert [package.name for package in exact.packages] == ["libdep-dev"]
    assert [package.name for package in exact.added] == ["apt", "fakeroot"]
    assert "added to the image because it lists none: apt 3.0, fakeroot 1.37-1" in describe(exact, "x.buildinfo")


def test_an_older_version_comes_from_the_snapshot(tmp_path: Path) -> None:
    """Where the mirror has a newer build-dependency than the .buildinfo names, the older one is taken."""
    newer = write_index(tmp_path / "main", [*BASE, ("libdep-dev", "1.1-1", "Depends: libbase")])
    past = FakeSnapshot(write_index(tmp_path / "past", [DEPENDENCY], archive=PAST))
    exact = exact_set(view_of(newer), _buildinfo(BUILT_WITH), past)
    assert _versions(exact)["libdep-dev"] == "1.0-1"
    assert [(package.name, package.archive) for package in exact.from_snapshot] == [("libdep-dev", PAST)]
    assert "1 of them from the snapshot archive" in describe(exact, "x.buildinfo")


def test_only_what_the_mirrors_lack_is_asked_of_the_snapshot(tmp_path: Path) -> None:
    """The suites are those of the view, and the one in which most packages were built."""
    newer = write_index(tmp_path / "main", [*BASE, ("libdep-dev", "1.1-1", "")])
    past = FakeSnapshot(write_index(tmp_path / "past", [DEPENDENCY], archive=PAST))
    exact_set(view_of(newer), _buildinfo(BUILT_WITH), past)
    sought = Sought(name="libdep-dev", version="1.0-1", architecture="amd64")
    assert past.asked == ([sought], ("trixie", "sid"))


def test_an_older_package_of_the_base_image_is_in_the_image(tmp_path: Path) -> None:
    """The image is bootstrapped from the exact versions, not brought down to them afterwards."""
    newer = [("make", "4.5-1", "") if each[0] == "make" else each for each in BASE]
    past = FakeSnapshot(write_index(tmp_path / "past", [("make", "4.4-1", "")], archive=PAST))
    exact = exact_set(view_of(write_index(tmp_path / "main", [*newer, DEPENDENCY])), _buildinfo(BUILT_WITH), past)
    locked = {package.name: package for package in exact.lock.packages}
    assert (locked["make"].version, locked["make"].archive) == ("4.4-1", PAST)


def test_a_version_that_is_nowhere_is_named(tmp_path: Path) -> None:
    """Without a snapshot the hint names the setting; with one, the message says that it was asked."""
    view = view_of(write_index(tmp_path / "main", BASE))
    with pytest.raises(DependencyUnavailable, match=r"libdep-dev 1\.0-1, which no mirror carries") as refused:
        exact_set(view, _buildinfo(BUILT_WITH), None)
    assert "debian.snapshot" in (refused.value.hint or "")
    empty = FakeSnapshot(write_index(tmp_path / "past", [("other", "1", "")], archive=PAST))
    with pytest.raises(DependencyUnavailable, match="nor the snapshot"):
        exact_set(view, _buildinfo(BUILT_WITH), empty)


def test_versions_that_no_image_can_be_made_of_are_refused(tmp_path: Path) -> None:
    """An apt that needs a newer library than the build had is a fault of the environment, in apt's words."""
    older = [("libbase", "0.9-1", ""), *BASE]
    view = view_of(write_index(tmp_path / "main", [*older, DEPENDENCY]))
    with pytest.raises(EnvironmentUnavailable, match="apt : Depends: libbase"):
        exact_set(view, _buildinfo({**BUILT_WITH, "libbase": "0.9-1"}), None)


def test_what_is_added_may_come_from_the_past_as_well(tmp_path: Path) -> None:
    """Where the suite's apt needs newer libraries than the build had, the apt of that time is taken."""
    older = [("apt", "2.9", "Depends: libbase"), *(each for each in BASE if each[0] not in {"apt", "libbase"})]
    past = FakeSnapshot(write_index(tmp_path / "past", [("libbase", "0.9-1", ""), *older, DEPENDENCY], archive=PAST))
    built_with = {**BUILT_WITH, "libbase": "0.9-1"}
    exact = exact_set(view_of(write_index(tmp_path / "main", [*BASE, DEPENDENCY])), _buildinfo(built_with), past)
    assert _versions(exact) == {**built_with, "apt": "2.9", "fakeroot": "1.37-1"}


def test_a_buildinfo_of_another_architecture_is_refused(tmp_path: Path) -> None:
    """Nothing is emulated."""
    view = view_of(write_index(tmp_path / "main", BASE))
    with pytest.raises(EnvironmentUnavailable, match="a build on arm64; here is amd64"):
        exact_set(view, _buildinfo(BUILT_WITH, "arm64"), None)
