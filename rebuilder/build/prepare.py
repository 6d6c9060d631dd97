"""Prepared environments: a base image plus exactly the packages that a plan names, installed without network.

Procedure of `prepare`, numbered as in the code:

1. Compute the key: base image, ordered (name, version, architecture, digest) of the packages, installer.
2. Unless a fresh one is asked for, take the cached environment of that key; its tree is hashed again beside the build
   and compared with the digest recorded when it was made.
3. Otherwise start from the largest cached environment whose packages are a subset, checked like 2, or from the base.
4. Install the missing packages (`rebuilder.build.installation`).
5. Hash the tree beside the build, and only then record the environment for others.

An environment without packages is the base image itself: its tree is recorded at its first use and compared at every
later one.

A fresh environment starts from the base, is removed after its use and never shared: control and quorum rebuilds must
not see each other's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from rebuilder.build import locks
from rebuilder.build.bases import Bases
from rebuilder.build.cache import PreparedIndex, PreparedRecord
from rebuilder.build.container import Engine, Leftover
from rebuilder.build.install_script import INSTALLER
from rebuilder.build.installation import Repository, install
from rebuilder.build.tree import TREE_FORMAT
from rebuilder.build.watch import TreeWatch
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.model.plan import Environment, Package

_MAKER = f"{INSTALLER} {TREE_FORMAT}"
_DEEPEST = 6
"""Installations on top of each other; an engine's layers are limited (128 in overlay2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An environment that is ready to build in, for as long as the context that made it lasts."""

    key: Digest
    image: Digest
    cached: bool
    """Whether it was prepared by an earlier use."""
    fresh: bool
    """Whether it was prepared from the base for this use alone."""
    watches: tuple[TreeWatch, ...]
    """What it started from, if that was cached, then itself."""

    def tree(self) -> Digest:
        """Wait for the tree's digest; raise EnvironmentUnavailable when it, or what it started from, was altered."""
        return [watch.result() for watch in self.watches][-1]


def key_of(environment: Environment) -> Digest:
    """Name the prepared environment that a plan's environment asks for."""
    document = {
        "base": str(environment.image),
        "installer": _MAKER,
        "packages": sorted(_identity(package).hex for package in environment.packages),
    }
    return Digest.of(codec.render(document))


@contextmanager
def prepare(
    engine: Engine, index: PreparedIndex, environment: Environment, repository: Repository, *, fresh: bool = False
) -> Iterator[Prepared]:
    """Make or find the environment, and keep it from removal while the context lasts.

    `repository` is asked only for the packages that must be installed. Raises what `install` raises.
    """
    with ExitStack() as stack:
        stack.enter_context(index.bases.using(environment.image))
        if not environment.packages:
            yield _bare(stack, engine, index.bases, environment, fresh=fresh)
        elif fresh:
            yield _fresh(stack, engine, environment, repository)
        else:
            yield _shared(stack, engine, index, environment, repository)


def _bare(stack: ExitStack, engine: Engine, bases: Bases, environment: Environment, *, fresh: bool) -> Prepared:
    image = environment.image
    recorded = bases.tree(image)
    keep = partial(bases.keep_tree, image) if recorded is None else None
    watch = stack.enter_context(TreeWatch(engine, image, expected=recorded, then=keep))
    return Prepared(key=key_of(environment), image=image, cached=False, fresh=fresh, watches=(watch,))


def _fresh(stack: ExitStack, engine: Engine, environment: Environment, repository: Repository) -> Prepared:
    key = key_of(environment)
    image = install(engine, environment.image, environment.packages, repository, name=f"fresh:{key.short}")
    stack.callback(engine.remove, Leftover(kind="image", name=str(image), labels={}))
    watch = stack.enter_context(TreeWatch(engine, image))
    return Prepared(key=key, image=image, cached=False, fresh=True, watches=(watch,))


def _shared(
    stack: ExitStack, engine: Engine, index: PreparedIndex, environment: Environment, repository: Repository
) -> Prepared:
    key = key_of(environment)  # 1
    stack.enter_context(locks.shared(index.use_lock(key)))
    making = stack.enter_context(locks.exclusive(index.make_lock(key)))
    record = index.find(key)
    if record is not None:  # 2
        making.release()
        watch = stack.enter_context(TreeWatch(engine, record.image, expected=record.tree))
        return Prepared(key=key, image=record.image, cached=True, fresh=False, watches=(watch,))
    wanted = {_identity(package): package for package in environment.packages}
    start = _start(stack, index, environment, frozenset(wanted))  # 3
    below, already = (start.image, frozenset(start.packages)) if start else (environment.image, frozenset())
    missing = tuple(package for identity, package in sorted(wanted.items()) if identity not in already)
    image = install(  # 4
        engine, below, missing, repository, name=f"prepared:{key.hex}"
    )
    watches = (stack.enter_context(TreeWatch(engine, start.image, expected=start.tree)),) if start else ()

    def keep(tree: Digest) -> None:  # 5
        for watch in watches:
            watch.result()
        index.keep(
            PreparedRecord(
                key=key,
                maker=_MAKER,
                base=environment.image,
                image=image,
                tree=tree,
                packages=tuple(sorted(wanted)),
                depth=start.depth + 1 if start else 1,
                size_bytes=_added(engine, image, below),
            )
        )
        making.release()

    watch = stack.enter_context(TreeWatch(engine, image, then=keep))
    return Prepared(key=key, image=image, cached=False, fresh=False, watches=(*watches, watch))


def _start(
    stack: ExitStack, index: PreparedIndex, environment: Environment, wanted: frozenset[Digest]
) -> PreparedRecord | None:
    """Find what to start from, and keep it from removal; checking it would only slow the installation down."""
    start = index.largest_subset(environment.image, wanted, maker=_MAKER, depth=_DEEPEST - 1)
    if start is not None:
        stack.enter_context(locks.shared(index.use_lock(start.key)))
    return start


def _added(engine: Engine, image: Digest, below: Digest) -> int:
    made, base = engine.image(image), engine.image(below)
    return max(0, made.size_bytes - base.size_bytes) if made and base else 0


def _identity(package: Package) -> Digest:
    fields = [package.name, package.version, package.architecture, str(package.digest)]
    return Digest.of(codec.render(fields))
