"""The environment that a .buildinfo describes: every package at the version that was installed during the build.

The base image is made of those versions as well. What a base image needs and a .buildinfo does not list (apt itself)
comes from the suite, and is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rebuilder.errors import DependencyUnavailable, EnvironmentUnavailable
from rebuilder.model.evidence import Evidence
from rebuilder.model.plan import ImageLock, Package
from rebuilder.origins.debian import apt
from rebuilder.origins.debian.buildinfo import Buildinfo
from rebuilder.origins.debian.image import lock_image
from rebuilder.origins.debian.index import IndexFile
from rebuilder.origins.debian.snapshot import Past, Sought
from rebuilder.origins.debian.view import SuiteView

_NAMED = 5
_FALLBACK_SUITE = "sid"
"""Where most packages were built, and what was installed then came from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactSet:
    """The packages of an exact environment, all named by verified indices."""

    lock: ImageLock
    """The base image's: exact versions, and what had to be added."""
    packages: tuple[Package, ...]
    """The rest of the exact versions, on top of the image."""
    added: tuple[Package, ...]
    """Of the image's packages those that the .buildinfo does not list."""
    from_snapshot: tuple[Package, ...]
    """Of all those that only the snapshot archive has."""
    evidence: tuple[Evidence, ...]
    """About the indices of the past that were used."""


def exact_set(view: SuiteView, buildinfo: Buildinfo, snapshot: Past | None) -> ExactSet:
    """Find every package of a .buildinfo in verified indices and make the base image's lock of them.

    1. Each version that the mirrors still carry is taken from them.
    2. The others are looked for in the snapshot archive.
    3. The base image is computed with exactly these versions as candidates.
    4. All other exact versions come on top.

    Raise DependencyUnavailable naming what is nowhere, EnvironmentUnavailable when no base image can be made of them.
    """
    if buildinfo.build_architecture != view.architecture:
        raise EnvironmentUnavailable(
            f"the .buildinfo is of a build on {buildinfo.build_architecture}; here is {view.architecture}",
            hint="rebuild it on a machine of that architecture",
        )
    sought = _sought(buildinfo)
    # 1.
    found = _in_view(view, sought)
    missing = [each for each in sought if each not in found]
    # 2.
    indices: tuple[IndexFile, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    if missing and snapshot is not None:
        past = snapshot.find(missing, suites_of(view))
        found |= past.packages
        indices, evidence = past.indices, past.evidence
    _require_all(sought, found, has_snapshot=snapshot is not None)
    # 3.
    native = [each for each in sought if each.architecture == buildinfo.build_architecture]
    versions = {each.name: each.version for each in native}
    lock = _lock(view, versions, indices)
    odd = [package for package in lock.packages if versions.get(package.name, package.version) != package.version]
    if odd:
        raise EnvironmentUnavailable(
            f"the base image needs {odd[0].name} {odd[0].version}, not {versions[odd[0].name]}"
        )
    # 4.
    everything = set(found.values())
    in_image = {_identity(package) for package in lock.packages}
    return ExactSet(
        lock=lock,
        packages=apt.in_order(package for package in everything if _identity(package) not in in_image),
        added=tuple(package for package in lock.packages if package.name not in versions),
        from_snapshot=apt.in_order(found[each] for each in missing),
        evidence=evidence,
    )


def describe(exact: ExactSet, name: str) -> str:
    """Say in one sentence, for `Environment.reason`, how exact the environment is."""
    added = ", ".join(f"{package.name} {package.version}" for package in exact.added[:_NAMED])
    more = f" and {len(exact.added) - _NAMED} more" if len(exact.added) > _NAMED else ""
    return (
        f"every package at the version that {name} lists"
        + (f", {len(exact.from_snapshot)} of them from the snapshot archive" if exact.from_snapshot else "")
        + (f"; added to the image because it lists none: {added}{more}" if exact.added else "")
    )


def _lock(view: SuiteView, versions: dict[str, str], past: tuple[IndexFile, ...]) -> ImageLock:
    """Lock with what is added from the suite as it is; where that needs newer packages, as it was."""
    try:
        return lock_image(view, versions=versions, more=past)
    except EnvironmentUnavailable:
        if not past:
            raise
        return lock_image(replace(view, indices=()), versions=versions, more=past)


def _sought(buildinfo: Buildinfo) -> tuple[Sought, ...]:
    own = buildinfo.build_architecture
    return tuple(
        Sought(name=each.name, version=each.version, architecture=each.architecture or own)
        for each in buildinfo.installed
    )


def _in_view(view: SuiteView, sought: Sequence[Sought]) -> dict[Sought, Package]:
    """Look all up in one pass; the first archive of the view that lists a version is taken."""
    listed: dict[tuple[str, str, str], Package] = {}
    for package in view.find_packages({each.name for each in sought}):
        listed.setdefault(_identity(package), package)
    return {each: package for each in sought for package in _candidates(each, listed)}


def _candidates(each: Sought, listed: dict[tuple[str, str, str], Package]) -> Iterator[Package]:
    for architecture in ("all", each.architecture):
        package = listed.get((each.name, each.version, architecture))
        if package is not None:
            yield package


def suites_of(view: SuiteView) -> tuple[str, ...]:
    """Name where a package of the past may have been: the suites of the view, then where most are built."""
    own = [index.suite for index in view.packages_files()]
    return tuple(dict.fromkeys((*own, _FALLBACK_SUITE)))


def _require_all(sought: Sequence[Sought], found: dict[Sought, Package], *, has_snapshot: bool) -> None:
    lacking = [f"{each.name} {each.version}" for each in sought if each not in found]
    if lacking:
        names = ", ".join(lacking[:_NAMED]) + (f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else "")
        raise DependencyUnavailable(
            f"the .buildinfo lists {names}, which no mirror carries" + (", nor the snapshot" if has_snapshot else ""),
            hint=None if has_snapshot else "a snapshot archive keeps every version: set debian.snapshot",
        )


def _identity(package: Package) -> tuple[str, str, str]:
    return package.name, package.version, package.architecture
