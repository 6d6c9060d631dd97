"""An archive on disk: pools, indices, by-hash copies, signed InRelease files; and ways to spoil it."""

from __future__ import annotations

import copy
import hashlib
import lzma
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from debian.deb822 import Deb822

from rebuilder.config import Archive, DebianSettings, Policy, Settings
from tests.archive.key import SigningKey
from tests.archive.package import Made

MAIN = "debian"
SECURITY = "debian-security"

_ALIASES = {"trixie": "stable", "bookworm": "oldstable", "forky": "testing", "sid": "unstable"}


@dataclass(kw_only=True)
class Suite:
    """A suite under construction."""

    archive: str
    name: str
    binaries: dict[str, list[str]] = field(default_factory=dict)
    """Paragraphs of the Packages index, by component."""
    sources: dict[str, list[str]] = field(default_factory=dict)

    @property
    def alias(self) -> str:
        """What the Suite field says: the codename's role."""
        base, dash, rest = self.name.partition("-")
        return _ALIASES.get(base, base) + dash + rest


class FrozenArchive:
    """A main and a security archive under one directory, `<root>/debian` and `<root>/debian-security`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.key = SigningKey()
        self.developer = SigningKey("Developer of the Frozen Archive")
        self.keyring = self.key.write(root / "keys" / "archive.gpg")
        self.developers = self.developer.write(root / "keys" / "developers.gpg")
        self._suites: dict[str, Suite] = {}

    # Filling it.

    def suite(self, name: str) -> Suite:
        """Return a suite by name; security suites are in the security archive."""
        archive = SECURITY if name.endswith("-security") else MAIN
        return self._suites.setdefault(name, Suite(archive=archive, name=name))

    def add(
        self,
        made: Made,
        suite: str,
        *,
        without: Sequence[str] = (),
        only_listed: Sequence[str] = (),
        signed: bool = False,
    ) -> None:
        """Add a source and its .debs to a suite.

        `without` leaves .debs out of archive and index, by package name; `only_listed` names source files that the
        index lists and the pool lacks; `signed` has the developer sign the .dsc.
        """
        dsc = self._signed(made.dsc) if signed else made.dsc
        self.add_source((dsc, *made.files[1:]), suite, only_listed=only_listed)
        self.add_debs(
            [path for path in made.debs if path.name.partition("_")[0] not in without], suite, source=made.source.name
        )

    def add_source(
        self, files: Sequence[Path], suite: str, *, component: str = "main", only_listed: Sequence[str] = ()
    ) -> None:
        """Add a source package, its .dsc first, to a suite's pool and Sources index."""
        place, dsc = self.suite(suite), _read_dsc(files[0])
        directory = _pool(place, component, dsc["Source"])
        for path in files:
            if path.name not in only_listed:
                self._store(place, directory, path)
        place.sources.setdefault(component, []).append(_source_paragraph(dsc, files, directory))
        place.binaries.setdefault(component, [])

    def add_debs(
        self, paths: Iterable[Path], suite: str = "trixie", *, component: str = "main", source: str | None = None
    ) -> None:
        """Add .debs, made here or real ones, to a suite's pool and Packages index."""
        place = self.suite(suite)
        for path in paths:
            control = subprocess.run(["dpkg-deb", "-f", path], capture_output=True, check=True, text=True).stdout
            directory = _pool(place, component, source or path.name.partition("_")[0])
            self._store(place, directory, path)
            place.binaries.setdefault(component, []).append(_binary_paragraph(control, path, directory))

    def publish(
        self,
        suite: str,
        *,
        date: datetime | None = None,
        valid_until: datetime | None = None,
        key: SigningKey | None = None,
        by_hash: bool = True,
        **fields: str,
    ) -> Path:
        """Write a suite's indices and sign its InRelease; `fields` overrule what its head says (`Codename`, …)."""
        place = self.suite(suite)
        dists = self.root / place.archive / "dists" / suite
        shutil.rmtree(dists, ignore_errors=True)
        digests = [line for component in place.binaries for line in _write_indices(place, component, dists)]
        head = {
            "Origin": "Debian",
            "Label": "Debian-Security" if place.archive == SECURITY else "Debian",
            "Suite": place.alias,
            "Codename": suite,
            "Date": _moment(date or datetime.now(UTC)),
            **({"Valid-Until": _moment(valid_until)} if valid_until else {}),
            **({"Acquire-By-Hash": "yes"} if by_hash else {}),
            "No-Support-for-Architecture-all": "Packages",
            "Architectures": "all amd64",
            "Components": " ".join(place.binaries),
            **fields,
        }
        text = "".join(f"{name}: {value}\n" for name, value in head.items()) + "SHA256:\n" + "\n".join(digests) + "\n"
        path = dists / "InRelease"
        path.write_bytes((key or self.key).sign(text.encode()))
        return path

    def publish_all(self, **options: Any) -> None:
        """Publish every suite that has something."""
        for name in self._suites:
            self.publish(name, **options)

    # Using it.

    def settings(self, home: Path, *, address: str | None = None, **policy: Any) -> Settings:
        """Make settings that know this archive alone, at `address` (its directory by default), with state in `home`."""
        base = address or self.root.as_uri()
        archives = (
            Archive(label=MAIN, uri=f"{base}/{MAIN}", suites=("*",), keyrings=(self.keyring,)),
            Archive(label=SECURITY, uri=f"{base}/{SECURITY}", suites=("*-security",), keyrings=(self.keyring,)),
        )
        debian = DebianSettings(archives=archives, archive_keyring=self.keyring, developer_keyrings=(self.developers,))
        settings = Settings(cache=home / "cache", state=home / "state", results=home / "results", debian=debian)
        return replace(settings, policy=replace(Policy(), **policy))

    def copy(self, root: Path) -> FrozenArchive:
        """Copy the archive, with the same keys, to spoil it."""
        shutil.copytree(self.root, root)
        return self._twin(root)

    def copy_indices(self, root: Path) -> FrozenArchive:
        """Copy all but the pools, which are the same files: for spoiling indices and InRelease files alone."""
        shutil.copytree(self.root, root, ignore=shutil.ignore_patterns("pool"))
        for label in (MAIN, SECURITY):
            if (self.root / label / "pool").is_dir():
                (root / label / "pool").symlink_to(self.root / label / "pool")
        return self._twin(root)

    def _twin(self, root: Path) -> FrozenArchive:
        twin = object.__new__(FrozenArchive)
        twin.root, twin.key, twin.developer = root, self.key, self.developer
        twin.keyring, twin.developers = root / "keys" / "archive.gpg", root / "keys" / "developers.gpg"
        twin._suites = copy.deepcopy(self._suites)
        return twin

    # Spoiling it.

    def find(self, filename: str) -> Path:
        """Find a pool file by name; the first, if both archives have it."""
        return next(path for label in (MAIN, SECURITY) for path in sorted((self.root / label / "pool").rglob(filename)))

    def remove(self, filename: str) -> None:
        """Delete a pool file from every archive: the index still lists it."""
        for path in list(self.root.rglob(filename)):
            path.unlink()

    def tamper(self, filename: str) -> None:
        """Change one bit in the middle of every copy of a pool file."""
        for path in list(self.root.rglob(filename)):
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes(data)

    def truncate_indices(self, suite: str) -> None:
        """Cut every compressed index of a suite in half."""
        for path in (self.root / self.suite(suite).archive / "dists" / suite).rglob("*"):
            if path.is_file() and path.name != "InRelease":
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    def _signed(self, dsc: Path) -> Path:
        copy = self.root / "signed" / dsc.name
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(self.developer.sign(dsc.read_bytes()))
        return copy

    def _store(self, place: Suite, directory: str, path: Path) -> None:
        target = self.root / place.archive / directory / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _pool(place: Suite, component: str, source: str) -> str:
    updates = "updates/" if place.archive == SECURITY else ""
    prefix = source[:4] if source.startswith("lib") else source[0]
    return f"pool/{updates}{component}/{prefix}/{source}"


def _read_dsc(path: Path) -> Deb822:
    return Deb822(Deb822.split_gpg_and_payload(iter(path.read_bytes().splitlines()))[1])


def _binary_paragraph(control: str, path: Path, directory: str) -> str:
    data = path.read_bytes()
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return (
        f"{control.rstrip()}\nFilename: {directory}/{path.name}\nSize: {len(data)}\nMD5sum: {md5}\n"
        f"SHA256: {hashlib.sha256(data).hexdigest()}\n"
    )


def _source_paragraph(dsc: Deb822, files: Sequence[Path], directory: str) -> str:
    kept = (
        "Binary",
        "Version",
        "Maintainer",
        "Build-Depends",
        "Architecture",
        "Standards-Version",
        "Format",
        "Package-List",
    )
    lines = [f"Package: {dsc['Source']}", *(f"{name}: {dsc[name]}" for name in kept if name in dsc)]
    for name, algorithm in (("Files", "md5"), ("Checksums-Sha256", "sha256")):
        lines.append(f"{name}:")
        for path in files:
            data = path.read_bytes()
            lines.append(f" {hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()} {len(data)} {path.name}")
    return "\n".join([*lines, f"Directory: {directory}"]) + "\n"


def _write_indices(place: Suite, component: str, dists: Path) -> list[str]:
    indices = {
        f"{component}/binary-amd64/Packages": "\n".join(place.binaries.get(component, [])),
        f"{component}/source/Sources": "\n".join(place.sources.get(component, [])),
    }
    lines = []
    for name, text in indices.items():
        for suffix, data in (("", text.encode()), (".xz", lzma.compress(text.encode()))):
            digest = hashlib.sha256(data).hexdigest()
            path = dists / (name + suffix)
            for each in (path, path.parent / "by-hash" / "SHA256" / digest):
                each.parent.mkdir(parents=True, exist_ok=True)
                each.write_bytes(data)
            lines.append(f" {digest} {len(data)} {name}{suffix}")
    return lines


def _moment(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC)).replace("+0000", "UTC")
