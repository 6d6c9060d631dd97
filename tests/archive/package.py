"""Source packages that really build, with dpkg's own tools and no debhelper, and the .debs they build."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import subprocess
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

EPOCH = 1_760_000_000
"""SOURCE_DATE_EPOCH of everything made here."""
DATE = "Thu, 09 Oct 2025 08:53:20 +0000"
"""The same moment, as a changelog writes it."""
MAINTAINER = "Frozen Archive <archive@archive.test>"

_RULES = dedent("""\
    #!/usr/bin/make -f
    # Packs data/ with dpkg's own tools; a binNMU's changelog entry goes where debhelper puts it.
    ARCH := $(shell dpkg --print-architecture)
    DOC = debian/staging/$*/usr/share/doc/$*

    build build-arch build-indep:
    clean:
    \trm -rf debian/staging debian/files
    binary: binary-arch binary-indep
    binary-arch: {arch}
    binary-indep: {indep}

    deb-%:
    \trm -rf debian/staging/$*
    \tinstall -d -m 755 debian/staging/$*/DEBIAN debian/staging/$*/usr/share/$* $(DOC)
    \tinstall -m 644 data/content debian/staging/$*/usr/share/$*/content
    \tif head -n 1 debian/changelog | grep -q binary-only=yes; then \\
    \t  sed -n '1,/^ -- /p' debian/changelog | gzip -9n > $(DOC)/changelog.Debian.$(ARCH).gz; \\
    \t  sed '1,/^ -- /d' debian/changelog | sed 1d | gzip -9n > $(DOC)/changelog.Debian.gz; \\
    \telse gzip -9n < debian/changelog > $(DOC)/changelog.Debian.gz; fi
    \tchmod 644 $(DOC)/*
    {steps}\tdpkg-gencontrol -p$* -Pdebian/staging/$*
    \tdpkg-deb --root-owner-group --build debian/staging/$* ..
    .PHONY: build build-arch build-indep clean binary binary-arch binary-indep
    """)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """A package that a source builds."""

    name: str
    architecture: str = "any"
    depends: str = ""
    kind: str = "deb"
    """`deb` or `udeb`; a udeb is declared and never built here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source package to make."""

    name: str
    version: str
    binaries: tuple[Binary, ...]
    build_depends: str = ""
    content: str = "content\n"
    binnmu: str | None = None
    """Version of a binary-only rebuild whose entry goes on top of the changelog (in the build, not in the source)."""
    rules: str | None = None
    """debian/rules, where the usual ones will not do."""

    @property
    def upstream(self) -> str:
        """The version without epoch and Debian revision."""
        return (
            self.version.partition(":")[2].rpartition("-")[0]
            if ":" in self.version
            else self.version.rpartition("-")[0]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Files of a source package and of what it builds."""

    source: Source
    dsc: Path
    files: tuple[Path, ...] = field(default=())
    """The .dsc and what it names."""
    debs: tuple[Path, ...] = ()


def make(source: Source, directory: Path) -> Made:
    """Make a source package (3.0, quilt) and build its .debs in a directory of their own; keep what is there."""
    return _keep(source, directory, has_debs=True)


def make_source(source: Source, directory: Path) -> Made:
    """Make a source package alone, in a directory of its own; keep what is there."""
    return _keep(source, directory, has_debs=False)


def _keep(source: Source, directory: Path, *, has_debs: bool) -> Made:
    recipe = directory / "recipe"
    wanted = f"{source}\n{has_debs}\n{hashlib.sha256(Path(__file__).read_bytes()).hexdigest()}\n"
    if not recipe.is_file() or recipe.read_text() != wanted:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        tree = _write_tree(source, directory)
        _run("dpkg-source", "-b", tree.name, cwd=directory)
        if has_debs:
            build(source, tree)
        recipe.write_text(wanted)
    dsc = next(directory.glob("*.dsc"))
    files = (dsc, *sorted(path for path in directory.iterdir() if ".tar." in path.name))
    return Made(source=source, dsc=dsc, files=files, debs=tuple(sorted(directory.glob("*.deb"))))


def build(source: Source, tree: Path, *targets: str) -> tuple[Path, ...]:
    """Build a source tree's .debs beside it and return them; `targets` are those of debian/rules."""
    if source.binnmu:
        changelog = tree / "debian" / "changelog"
        entry = _entry(
            source.name,
            source.binnmu,
            "Binary-only non-maintainer upload for amd64; no source changes.",
            ", binary-only=yes",
        )
        changelog.write_text(entry + changelog.read_text())
    _run("make", "-s", "-f", "debian/rules", *(targets or ("binary",)), cwd=tree)
    return tuple(sorted(tree.parent.glob("*.deb")))


def _write_tree(source: Source, directory: Path) -> Path:
    tree = directory / f"{source.name}-{source.upstream}"
    (tree / "debian" / "source").mkdir(parents=True)
    (tree / "data").mkdir()
    (tree / "data" / "content").write_text(source.content)
    _write_orig(source, directory, tree)
    debian = tree / "debian"
    (debian / "control").write_text(_control(source))
    (debian / "changelog").write_text(_entry(source.name, source.version, "Made by the tests."))
    (debian / "copyright").write_text("Public domain.\n")
    (debian / "source" / "format").write_text("3.0 (quilt)\n")
    (debian / "rules").write_text(source.rules or usual_rules(source))
    (debian / "rules").chmod(0o755)
    return tree


def usual_rules(source: Source, *steps: str) -> str:
    """Return debian/rules that pack data/content; `steps` are shell lines that shape the staged package (`$*`) more."""
    targets = {
        kind: " ".join(
            f"deb-{binary.name}"
            for binary in source.binaries
            if binary.kind == "deb" and (binary.architecture == "all") == is_all
        )
        for kind, is_all in (("arch", False), ("indep", True))
    }
    return _RULES.format(**targets, steps="".join(f"\t{step}\n" for step in steps))


def _write_orig(source: Source, directory: Path, tree: Path) -> None:
    data = source.content.encode()
    path = directory / f"{source.name}_{source.upstream}.orig.tar.gz"
    with gzip.GzipFile(path, "wb", mtime=EPOCH) as packed, tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo(f"{tree.name}/data/content")
        member.size, member.mtime, member.mode = len(data), EPOCH, 0o644
        archive.addfile(member, io.BytesIO(data))


def _control(source: Source) -> str:
    head = [
        f"Source: {source.name}",
        "Section: misc",
        "Priority: optional",
        f"Maintainer: {MAINTAINER}",
        "Standards-Version: 4.7.0",
        "Rules-Requires-Root: no",
    ]
    if source.build_depends:
        head.append(f"Build-Depends: {source.build_depends}")
    paragraphs = ["\n".join(head)]
    for binary in source.binaries:
        lines = [f"Package: {binary.name}", f"Architecture: {binary.architecture}"]
        lines += ["Package-Type: udeb"] if binary.kind == "udeb" else []
        lines += [f"Depends: {binary.depends}"] if binary.depends else []
        paragraphs.append("\n".join([*lines, "Description: package of a frozen archive", " It holds one file."]))
    return "\n\n".join(paragraphs) + "\n"


def _entry(name: str, version: str, words: str, extra: str = "") -> str:
    return f"{name} ({version}) trixie; urgency=medium{extra}\n\n  * {words}\n\n -- {MAINTAINER}  {DATE}\n\n"


def _run(*command: str, cwd: Path) -> None:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": str(EPOCH)}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.decode()}"
