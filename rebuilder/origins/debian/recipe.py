"""Reading the recipes under recipes/: plain data, strictly typed, each choice with its reason.

A recipe is part of the plan by the digest of its file, so that a changed pin is a changed plan.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import rebuilder
from rebuilder.errors import ConfigurationError, HostileInput
from rebuilder.model import codec
from rebuilder.model.digest import Digest
from rebuilder.world import files

Kind = TypeVar("Kind")

_LIMIT_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Packages that go into a base image, with all that they depend on."""

    select: str
    """A package name, or a pattern of apt-patterns(7)."""
    reason: str
    suites: tuple[str, ...] = ()
    """Only in these suites; empty means in every one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Directories of the root that are links to those of the same name under usr."""

    names: tuple[str, ...]
    reason: str
    suites: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFile:
    """A small file of the image that no package brings."""

    path: str
    text: str
    reason: str
    executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What is taken out of the image in the end."""

    path: str
    reason: str
    children: bool = False
    """Keep the directory and its subdirectories, remove the files in them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """The account that builds run under."""

    name: str
    id: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecipe:
    """How base images of a distribution are made: recipes/images/*.toml."""

    distribution: str
    packages: tuple[Selection, ...]
    links: tuple[Links, ...]
    files: tuple[ImageFile, ...]
    removals: tuple[Removal, ...]
    user: User
    prewarmed: tuple[Selection, ...] = ()
    """Not in the image: what is installed on top of it ahead of time, for the builds that want all of it."""

    def selections(self, suite: str) -> tuple[str, ...]:
        """Tell what to ask apt for in a suite."""
        return tuple(entry.select for entry in self.packages if not entry.suites or suite in entry.suites)

    def prewarmed_selections(self, suite: str) -> tuple[str, ...]:
        """Tell what to ask apt for on top of an image, in a suite."""
        return tuple(entry.select for entry in self.prewarmed if not entry.suites or suite in entry.suites)

    def linked(self, suite: str) -> tuple[str, ...]:
        """Directories that are made as links first, in a suite."""
        return tuple(name for entry in self.links if not entry.suites or suite in entry.suites for name in entry.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a build; exactly one of `run`, `enter`, `prepend` is set."""

    reason: str
    run: tuple[str, ...] = ()
    """Program and arguments."""
    enter: str | None = None
    """A directory to go to."""
    prepend: str | None = None
    """A file that gets `text` on top."""
    text: str | None = None
    when: str | None = None
    """`binnmu`: only in a binary-only rebuild."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOption:
    """What a kind of artifact is built with."""

    kind: str
    """`any` or `all`."""
    option: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPattern:
    """Files beside the source tree that are the build's results."""

    pattern: str
    required: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlace:
    """Where the build runs."""

    directory: str
    directory_reason: str
    umask: str
    hostname: str
    hostname_reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One variable of the build's environment."""

    name: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Honoured:
    """Names of variables that a .buildinfo may set."""

    pattern: str
    """A regular expression for the whole name."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRecipe:
    """How Debian sources are rebuilt: recipes/deb/*.toml."""

    name: str
    version: int
    steps: tuple[Step, ...]
    builds: tuple[BuildOption, ...]
    outputs: tuple[OutputPattern, ...]
    environment: BuildPlace
    variables: tuple[Variable, ...]
    honoured: tuple[Honoured, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A build recipe with the name and digest under which a plan carries it."""

    name: str
    """Relative to recipes/, without the suffix: `deb/dpkg-buildpackage`."""
    digest: Digest
    build: BuildRecipe


def load_image_recipe(name: str = "debian") -> ImageRecipe:
    """Read recipes/images/<name>.toml."""
    return _parse(_read(f"images/{name}"), ImageRecipe, f"images/{name}")


def load_build_recipe(name: str = "dpkg-buildpackage") -> Recipe:
    """Read recipes/deb/<name>.toml."""
    data = _read(f"deb/{name}")
    return Recipe(name=f"deb/{name}", digest=Digest.of(data), build=_parse(data, BuildRecipe, f"deb/{name}"))


def _read(name: str) -> bytes:
    package = Path(rebuilder.__file__).parent
    installed, checkout = package / "_recipes", package.parent / "recipes"
    root = installed if installed.is_dir() else checkout
    return files.read(root / f"{name}.toml", limit_bytes=_LIMIT_BYTES)


def _parse(data: bytes, kind: type[Kind], name: str) -> Kind:
    try:
        return codec.parse(codec.render(tomllib.loads(data.decode("utf-8"))), kind)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, HostileInput) as error:
        raise ConfigurationError(f"recipes/{name}.toml: {error}") from error
