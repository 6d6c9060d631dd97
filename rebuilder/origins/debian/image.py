"""Which packages a base image is made of, as data: computed once, then pinned by digest.

The set is small (what a buildd has before any build-dependency), of the newest versions in the verified indices. What
goes in, and why, is data: recipes/images/debian.toml.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache

from rebuilder.errors import DependencyUnavailable, EnvironmentUnavailable, ToolFailure
from rebuilder.model.digest import Digest
from rebuilder.model.plan import ImageLock, Package, Pulled
from rebuilder.origins.debian import apt
from rebuilder.origins.debian.index import IndexFile
from rebuilder.origins.debian.recipe import ImageRecipe, load_image_recipe
from rebuilder.origins.debian.view import SuiteView
from rebuilder.world import process
from rebuilder.world.files import storage_errors

_EXPERIMENTAL = frozenset({"experimental", "rc-buggy"})
_ADDITIONS = frozenset({"security", "updates", "proposed-updates", "backports", "backports-sloppy"})
_VERSION = re.compile(r"mmdebstrap ([0-9][0-9.]*)")
_OWN_VERSION = re.compile(rb"^our \$VERSION = '([0-9][0-9.]*)';$", re.MULTILINE)
_HEAD_BYTES = 64 * 1024


def lock_image(
    view: SuiteView,
    *,
    recipe: ImageRecipe | None = None,
    versions: Mapping[str, str] | None = None,
    more: Sequence[IndexFile] = (),
) -> ImageLock:
    """Compute the packages of a suite's base image from verified indices, with this machine's apt, without network.

    `versions` forces the versions of the packages it names, wherever one of them is needed; `more` are verified indices
    that list such versions besides the view's. Raise EnvironmentUnavailable with apt's own words when the set cannot be
    made.
    """
    recipe = recipe or load_image_recipe()
    wanted = recipe.selections(view.suite)
    packages = _choose((*view.packages_files(), *more), wanted, view, versions)
    if not packages:
        raise EnvironmentUnavailable(
            f"base image of {view.suite} {view.architecture}: the indices offer no packages for it"
        )
    return ImageLock(
        distribution=recipe.distribution,
        suite=view.suite,
        architecture=view.architecture,
        epoch=view.epoch,
        installer=installer(),
        packages=packages,
    )


def prewarmed_on(lock: ImageLock, view: SuiteView, *, recipe: ImageRecipe | None = None) -> tuple[Package, ...]:
    """Compute what most builds install on a lock's image, as the indices have it now: never more than they would.

    Empty where the image was pulled, or is not what the indices offer now. Raises what `lock_image` raises.
    """
    recipe = recipe or load_image_recipe()
    more = recipe.prewarmed_selections(view.suite)
    if lock.pulled is not None or not more:
        return ()
    packages = _choose(view.packages_files(), (*recipe.selections(view.suite), *more), view)
    there = {_identity(package) for package in lock.packages}
    added = tuple(package for package in packages if _identity(package) not in there)
    return added if len(packages) - len(added) == len(there) else ()


def _choose(
    indices: Sequence[IndexFile],
    wanted: Sequence[str],
    view: SuiteView,
    versions: Mapping[str, str] | None = None,
) -> tuple[Package, ...]:
    """Let this machine's apt choose from nothing; raise EnvironmentUnavailable with its words when it cannot."""
    paths = [index.path for index in indices]
    try:
        choices = apt.ask_host(paths, wanted, architecture=view.architecture, versions=versions)
        return apt.identify(choices, indices)
    except DependencyUnavailable as error:
        raise EnvironmentUnavailable(f"base image of {view.suite} {view.architecture}: {error}") from error


def _identity(package: Package) -> tuple[str, str, str, Digest]:
    return package.name, package.version, package.architecture, package.digest


def suite_to_build_in(suite: str) -> str:
    """Name the suite that a suite's packages are built in: one that holds only additions has no compiler.

    `trixie-security` is built in trixie (whose view has the security suite's packages as well), experimental in sid.
    """
    if suite in _EXPERIMENTAL:
        return "sid"
    base, _, addition = suite.partition("-")
    return base if addition in _ADDITIONS else suite


def settle(lock: ImageLock, previous: Sequence[ImageLock]) -> ImageLock:
    """Prefer an earlier lock that differs in nothing but the moment: its image is there already, and no worse."""
    for earlier in previous:
        if _substance(earlier) == _substance(lock):
            return earlier
    return lock


def is_listed(lock: ImageLock, view: SuiteView) -> bool:
    """Whether the verified indices still name every package of a lock, with the same digest."""
    listed = set(view.find_packages({package.name for package in lock.packages}))
    return listed.issuperset(lock.packages)


@cache
def installer() -> str:
    """Name and version of the bootstrap program here; raise ToolFailure when there is none.

    It is a Perl script that states its version; where it does not, it is asked, which takes a quarter of a second.
    """
    if stated := _stated_version():
        return f"mmdebstrap {stated}"
    output = process.check(process.run(["mmdebstrap", "--version"], timeout_s=30), "mmdebstrap --version")
    match = _VERSION.search(output.decode("utf-8", "replace"))
    if match is None:
        raise ToolFailure(f"mmdebstrap --version says {output[:80]!r}, which names no version")
    return f"mmdebstrap {match[1]}"


def _stated_version() -> str | None:
    program = process.find("mmdebstrap")
    if program is None:
        return None
    with storage_errors(program), program.open("rb") as script:
        match = _OWN_VERSION.search(script.read(_HEAD_BYTES))
    return match[1].decode() if match else None


def _substance(lock: ImageLock) -> tuple[str, str, str, str, tuple[Package, ...], Pulled | None]:
    return lock.distribution, lock.suite, lock.architecture, lock.installer, lock.packages, lock.pulled
