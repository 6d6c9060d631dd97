"""A flat local apt repository of exactly chosen packages, for an installer that has no network.

Layout (sources.list(5), "exact path"): `Packages` beside the .debs, each under its file name. The paragraphs are the
packages' own control paragraphs, read from bytes whose digest was verified, so that a repository can be made of a lock
alone, long after the index that the lock was made from is gone.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from rebuilder.compare.readers.deb import CONTROL, read_deb_member
from rebuilder.errors import HostileInput
from rebuilder.model.digest import Digest
from rebuilder.model.plan import Package
from rebuilder.origins.debian.stanza import ARCHITECTURE, check_name, check_version
from rebuilder.world.files import storage_errors

_FIELD = re.compile(r"^([A-Za-z0-9-]+):[ \t]*(.*(?:\n[ \t].*)*)", re.MULTILINE)
_FILE_NAME = re.compile(r"[A-Za-z0-9+._~:%@^=,-]+\.deb\Z")
_KEPT = (
    "Package",
    "Source",
    "Version",
    "Architecture",
    "Essential",
    "Protected",
    "Important",
    "Multi-Arch",
    "Priority",
    "Section",
    "Installed-Size",
    "Pre-Depends",
    "Depends",
    "Recommends",
    "Conflicts",
    "Breaks",
    "Replaces",
    "Provides",
)


def flat_files(packages: Iterable[Package], debs: Mapping[Digest, Path]) -> dict[str, bytes | Path]:
    """Name the files of a repository by relative path: the index as bytes, each .deb as the file it is copied from."""
    chosen = sorted(packages, key=lambda package: (package.name, package.version, package.architecture))
    for package in chosen:
        _verify_words(package)
    if len({package.filename for package in chosen}) != len(chosen):
        raise HostileInput("two packages of one repository have the same file name")
    contents: dict[str, bytes | Path] = {package.filename: debs[package.digest] for package in chosen}
    contents["Packages"] = b"\n".join(_paragraph(package, debs[package.digest]) for package in chosen)
    return contents


def _verify_words(package: Package) -> None:
    """Raise HostileInput for what could be an option, a pattern or a path where a name is meant: locks travel."""
    check_name(package.name)
    check_version(package.version)
    if not ARCHITECTURE.match(package.architecture):
        raise HostileInput(f"not an architecture: {package.architecture[:80]!r}")
    if not _FILE_NAME.match(package.filename):
        raise HostileInput(f"not the file name of a package: {package.filename[:80]!r}")


def write_flat(directory: Path, packages: Iterable[Package], debs: Mapping[Digest, Path]) -> None:
    """Make the repository in a directory; .debs are hard links where the file system allows."""
    with storage_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in flat_files(packages, debs).items():
            path = directory / name
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                _link(content, path)


def control_fields(control: bytes) -> dict[str, str]:
    """Fields of one control paragraph, case as written, continuation lines kept."""
    return {match[1]: match[2] for match in _FIELD.finditer(control.decode("utf-8", "replace"))}


def _paragraph(package: Package, deb: Path) -> bytes:
    _, control = read_deb_member(deb, "control", part=CONTROL)
    fields = control_fields(control)
    identity = (fields.get("Package"), fields.get("Version"), fields.get("Architecture"))
    expected = (package.name, package.version, package.architecture)
    if identity != expected:
        raise HostileInput(f"{package.filename}: expected {'_'.join(expected)}, its control file says {identity}")
    lines = [f"{name}: {fields[name]}" for name in _KEPT if fields.get(name)]
    lines += [
        f"Filename: ./{package.filename}",
        f"Size: {package.size_bytes}",
        f"SHA256: {package.digest.hex}",
    ]
    return ("\n".join(lines) + "\n").encode()


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
