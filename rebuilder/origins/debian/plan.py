"""From a release and an environment to plans: one for each kind of binary package and each binary-only rebuild.

Buildds build arch:any and arch:all packages apart (-B, -A), and a binNMU once more from the same source with one more
changelog entry: each such group of artifacts has its own build, so its own plan.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from rebuilder.errors import EnvironmentUnavailable, UsageError
from rebuilder.model.digest import Digest
from rebuilder.model.plan import Environment, Fidelity, Limits, Package, Plan
from rebuilder.model.release import Artifact, Release
from rebuilder.origins.debian.dependencies import Kind
from rebuilder.origins.debian.recipe import Recipe
from rebuilder.origins.debian.script import Build, render

_BINNMU = re.compile(r"\+b([0-9]{1,4})\Z")
_LOCALE = re.compile(r"(?:LANG|LANGUAGE|LC_[A-Z]+)\Z")
_CHANGELOG = "binnmu-changelog"
_PATH = re.compile(r"/build(?:/[A-Za-z0-9+_.~-]+)+\Z")


class Factor(StrEnum):
    """What a variation run changes, one at a time."""

    CLOCK = "clock"
    PATH = "path"
    LOCALE = "locale"


CLOCK_PACKAGES = ("faketime", "libfaketime")
"""Packages of the suite that a run under another clock needs on top: nothing else can move a build's clock."""
_CLOCK = ("env", "NO_FAKE_STAT=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", "faketime", "-m", "-f", "+400d")
"""Files keep their times: shifted ones would be clamped to SOURCE_DATE_EPOCH, a difference that no build makes. Waiting
is not faked, or it would be endless. Under NO_FAKE_STAT libfaketime 0.9.10 fails utimes(path, NULL), and FAKE_UTIME=1
would move every time that a build sets by itself: so `dpkg-source -x`, which needs that call, runs without it."""
_OTHER_PARENT = "/build/another/and-longer-path"
_OTHER_LOCALE = {"LC_ALL": "C", "LANG": "C", "LANGUAGE": "de:fr"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An environment that is ready to be planned with."""

    fidelity: Fidelity
    reason: str
    architecture: str
    """Of the machine: `amd64`, also for arch:all packages."""
    image: Digest
    lock: Digest
    packages: tuple[Package, ...]
    jobs: int
    """Parallel jobs that the build may use."""
    build_path: str | None = None
    """As a .buildinfo says; None for the recipe's."""
    variables: Mapping[str, str] | None = None
    """As a .buildinfo says, over the recipe's."""


def parts(release: Release) -> tuple[Release, ...]:
    """Split a release as its artifacts were built, arch:any before arch:all; every artifact is in exactly one part.

    An artifact without a reference belongs to the newest build of its kind. Raise UsageError for a release without
    artifacts.
    """
    if not release.artifacts:
        raise UsageError(f"{release.name} {release.version}: a release without artifacts has nothing to rebuild")
    groups: dict[tuple[bool, int], list[Artifact]] = {}
    for artifact in release.artifacts:
        if artifact.reference is not None:
            groups.setdefault(_group(artifact, release), []).append(artifact)
    for artifact in release.artifacts:
        if artifact.reference is None:
            is_all = artifact.architecture == "all"
            newest = max((key for key in groups if key[0] == is_all), default=(is_all, 0))
            groups.setdefault(newest, []).append(artifact)
    return tuple(replace(release, artifacts=tuple(groups[key])) for key in sorted(groups))


def binnmu_number(part: Release) -> int:
    """Return N of a part that was rebuilt as +bN, 0 for one that was not."""
    return max(_group(artifact, part)[1] for artifact in part.artifacts)


def built_version(part: Release) -> str:
    """Return the version that the build's .changes carries: the source's, with +bN for a binary-only rebuild.

    Single packages may carry others (gcc-defaults): that is in each artifact.
    """
    number = binnmu_number(part)
    return f"{part.version}+b{number}" if number else part.version


def make_plan(part: Release, place: Place, recipe: Recipe, *, changelog: str | None, limits: Limits) -> Plan:
    """Fix everything that determines the rebuild of one part (see `parts`).

    `changelog` is the binNMU's entry; it must be there exactly when the part is one (UsageError).
    """
    if (changelog is not None) != (binnmu_number(part) > 0):
        raise UsageError(f"{part.name} {built_version(part)}: a binNMU's changelog entry goes with a binNMU")
    kind = Kind.of(part.artifacts[0].architecture)
    environment = _environment(part, place, recipe)
    plan = Plan(
        ecosystem=part.ecosystem,
        name=part.name,
        version=built_version(part),
        source_version=part.version,
        architecture="all" if kind is Kind.ALL else place.architecture,
        sources=part.sources,
        environment=environment,
        recipe=recipe.name,
        recipe_digest=recipe.digest,
        script="",
        texts=((_CHANGELOG, changelog),) if changelog is not None else (),
        limits=limits,
    )
    return _scripted(plan, recipe)


def vary(plan: Plan, factor: str, recipe: Recipe, *, clock_packages: tuple[Package, ...] = ()) -> Plan:
    """Make the plan of a variation run: the same but for one factor. Its outputs never change a verdict.

    `clock`: 400 days later, by faketime, which must be given as `clock_packages` (EnvironmentUnavailable without), for
    a container shares its machine's clock. `path`: another build path. `locale`: plain C and other message languages.
    Raise UsageError for an unknown factor.
    """
    environment = plan.environment
    match _factor(factor):
        case Factor.CLOCK:
            if not {package.name for package in clock_packages}.issuperset(CLOCK_PACKAGES):
                raise EnvironmentUnavailable(f"a run under another clock needs {' and '.join(CLOCK_PACKAGES)}")
            known = {package.name for package in environment.packages}
            added = tuple(package for package in clock_packages if package.name not in known)
            packages = tuple(sorted((*environment.packages, *added), key=lambda package: package.name))
            return _scripted(replace(plan, environment=replace(environment, packages=packages)), recipe, _CLOCK)
        case Factor.PATH:
            path = f"{_OTHER_PARENT}/{environment.build_path.rpartition('/')[2]}"
            return _scripted(replace(plan, environment=replace(environment, build_path=path)), recipe)
        case Factor.LOCALE:
            variables = tuple(sorted((dict(environment.variables) | _OTHER_LOCALE).items()))
            return _scripted(replace(plan, environment=replace(environment, variables=variables)), recipe)
        case unknown:
            assert_never(unknown)


def is_usable_build_path(path: str) -> bool:
    """Whether a build can happen at this path: below /build, the one place of a container that may be written."""
    return bool(_PATH.match(path)) and ".." not in path.split("/") and len(path) < 200


def _scripted(plan: Plan, recipe: Recipe, wrapper: tuple[str, ...] = ()) -> Plan:
    """Render the script from what the plan says, so that the two cannot part."""
    build = Build(
        dsc=next(source.filename for source in plan.sources if source.filename.endswith(".dsc")),
        kind=Kind.of(plan.architecture),
        changelog=_CHANGELOG if plan.texts else None,
        wrapper=wrapper,
    )
    return replace(plan, script=render(recipe.build, build, plan.environment))


def _environment(part: Release, place: Place, recipe: Recipe) -> Environment:
    given = dict(place.variables or {})
    defaults = {entry.name: entry.value.format(jobs=place.jobs) for entry in recipe.build.variables}
    if any(_LOCALE.match(name) for name in given):
        defaults = {name: value for name, value in defaults.items() if not _LOCALE.match(name)}
    return Environment(
        fidelity=place.fidelity,
        reason=place.reason,
        architecture=place.architecture,
        image=place.image,
        lock=place.lock,
        packages=place.packages,
        variables=tuple(sorted((defaults | given).items())),
        build_path=place.build_path or f"{recipe.build.environment.directory}/{part.name}-{_upstream(part.version)}",
        hostname=recipe.build.environment.hostname,
        user="builduser",
    )


def _upstream(version: str) -> str:
    """Return the version without epoch and Debian revision: what dpkg-source names a tree after."""
    without_epoch = version.partition(":")[2] if ":" in version else version
    return without_epoch.rpartition("-")[0] or without_epoch


def _group(artifact: Artifact, release: Release) -> tuple[bool, int]:
    """Sort key of the build that made an artifact; a source whose own version ends in +bN has no binNMU by that."""
    match = _BINNMU.search(artifact.version)
    is_binnmu = match is not None and artifact.version != release.version
    return artifact.architecture == "all", int(match[1]) if match and is_binnmu else 0


def _factor(name: str) -> Factor:
    try:
        return Factor(name)
    except ValueError:
        raise UsageError(f"unknown factor {name!r}", hint=f"one of {', '.join(Factor)}") from None
