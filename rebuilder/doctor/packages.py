"""The programs and files of the machine that this project uses: one list, read here and by `make`."""

from __future__ import annotations

import ctypes
import os
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rebuilder.doctor.finding import Condition, Finding
from rebuilder.world import process

LIST = Path(__file__).with_name("packages.toml")


class Need(StrEnum):
    """How much a package is needed; `packages.toml` says what each word means."""

    REQUIRED = "required"
    RECOMMENDED = "recommended"
    TESTS = "tests"
    ALL_TESTS = "all-tests"
    BENCH = "bench"
    OPTIONAL = "optional"


_FOR_VERIFYING = frozenset({Need.REQUIRED, Need.RECOMMENDED, Need.OPTIONAL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A Debian package, and one thing that shows it is there."""

    name: str
    need: Need
    reason: str
    program: str | None = None
    file: str | None = None
    library: str | None = None
    only_without_root: bool = False
    """Whether root can do without it."""

    def __post_init__(self) -> None:
        shown = [thing for thing in (self.program, self.file, self.library) if thing]
        if len(shown) != 1:
            raise ValueError(f"{self.name}: exactly one of program, file and library shows that it is there")

    @property
    def is_present(self) -> bool:
        """Whether the thing that shows it is on this machine, whichever package brought it."""
        if self.program:
            return process.find(self.program) is not None
        if self.file:
            return Path(self.file).is_file()
        return _loads(self.library or "")


def load_packages() -> tuple[Package, ...]:
    """Load the packages that matter to this user, in the order of the list."""
    with LIST.open("rb") as stream:
        tables = tomllib.load(stream)["package"]
    packages = (Package(**{**entry, "need": Need(entry["need"])}) for entry in tables)
    return tuple(package for package in packages if not package.only_without_root or os.geteuid() != 0)


def examine_packages(packages: tuple[Package, ...]) -> tuple[Finding, ...]:
    """One finding for each package that a verification uses; what only developers need is left out."""
    return tuple(_finding(package) for package in packages if package.need in _FOR_VERIFYING)


def _finding(package: Package) -> Finding:
    thing = package.program or package.file or package.library or package.name
    if package.is_present:
        return Finding(name=package.name, condition=Condition.OK, found=thing, purpose=package.reason)
    return Finding(
        name=package.name,
        condition=Condition.MISSING if package.need is Need.REQUIRED else Condition.WARN,
        found=f"no {thing}" + (" (optional)" if package.need is Need.OPTIONAL else ""),
        purpose=package.reason,
        remedy=f"apt-get install --no-install-recommends {package.name}",
    )


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
