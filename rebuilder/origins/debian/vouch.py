"""Whether somebody whom we trust vouches for the packages of a lock that we did not compute ourselves.

A lock from a document names digests, and a digest is only as good as whoever wrote it down. A bootstrap runs maintainer
scripts outside any container: before that, each package must be named, with that digest, by an index that this machine
verified: of the suite as it is now, else of a moment of the snapshot archive.
"""

from __future__ import annotations

from collections.abc import Sequence

from rebuilder.errors import UntrustedError
from rebuilder.model.digest import Digest
from rebuilder.model.plan import ImageLock, Package
from rebuilder.origins.debian.exact import suites_of
from rebuilder.origins.debian.snapshot import Past, Sought
from rebuilder.origins.debian.view import SuiteView

Identity = tuple[str, str, str, int, Digest]


def verify_vouched(lock: ImageLock, view: SuiteView, snapshot: Past | None) -> None:
    """Raise UntrustedError unless verified indices name every package of a lock, by the same digest.

    1. What the suite's indices list is vouched for.
    2. The rest is looked up in the signed indices of the past.
    """
    # 1.
    listed = {_identity(package) for package in view.find_packages({package.name for package in lock.packages})}
    left = [package for package in lock.packages if _identity(package) not in listed]
    # 2.
    if left and snapshot is not None:
        sought = [Sought(name=each.name, version=each.version, architecture=each.architecture) for each in left]
        past = {_identity(package) for package in snapshot.find(sought, suites_of(view)).packages.values()}
        left = [package for package in left if _identity(package) not in past]
    if left:
        raise UntrustedError(
            f"the lock of {lock.suite} names {_named(left)}: no signed index does, of the suite"
            + (" or of the snapshot archive" if snapshot else ""),
            hint=None if snapshot else "if the suite has moved on, a snapshot archive can vouch: set debian.snapshot",
        )


def _named(packages: Sequence[Package]) -> str:
    first = packages[0]
    more = f" and {len(packages) - 1} more" if len(packages) > 1 else ""
    return f"{first.name} {first.version} ({first.digest}){more}"


def _identity(package: Package) -> Identity:
    return package.name, package.version, package.architecture, package.size_bytes, package.digest
