"""One archive with every shape that resolving and authenticating must get right; each source says which."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tests.archive.frozen import FrozenArchive
from tests.archive.package import Binary, Source, make

GREETER = Source(
    name="greeter",
    version="1.0-1",
    build_depends="libdep-dev",
    binaries=(
        Binary(name="greeter"),
        Binary(name="libgreeter1"),
        Binary(name="greeter-doc", architecture="all"),
        Binary(name="greeter-udeb", kind="udeb"),
        Binary(name="greeter-extra"),
    ),
)
"""Several binaries, of both kinds; a udeb; one (greeter-extra) that was never published; a signed .dsc."""
EPOCHAL = Source(name="epochal", version="1:2.0-1", binaries=(Binary(name="epochal"),))
"""An epoch, which file names lack."""
REBUILT = Source(
    name="rebuilt", version="1.0-1", binaries=(Binary(name="rebuilt"), Binary(name="rebuilt-data", architecture="all"))
)
"""A binNMU: rebuilt is 1.0-1+b2 (and +b1 is still listed), rebuilt-data is 1.0-1."""
PATCHED = Source(name="patched", version="2.0-1", binaries=(Binary(name="patched"),))
PATCHED_SECURE = Source(name="patched", version="2.0-1+deb13u1", binaries=(Binary(name="patched"),))
"""A security update whose orig tarball only the main archive has."""
DEPENDENCY = Source(name="libdep", version="1.0-1", binaries=(Binary(name="libdep-dev"),))
DEPENDENCY_NEWER = Source(name="libdep", version="1.1-1", binaries=(Binary(name="libdep-dev"),))
"""A second version of greeter's build-dependency, in trixie-updates."""
AHEAD = Source(name="ahead", version="1.0-1", binaries=(Binary(name="ahead"),))
AHEAD_NEWER = Source(name="ahead", version="2.0-1", binaries=(Binary(name="ahead"),))
"""A source that is newer than its binaries."""
ORPHAN = Source(name="orphan", version="3.0-1", binaries=(Binary(name="orphan"),))
"""A binary whose source version no index lists."""
TWICE = Source(name="twice", version="4.0-1", binaries=(Binary(name="twice"),))
"""The same version in the main and in the security archive."""


SOURCES = (
    GREETER,
    EPOCHAL,
    REBUILT,
    *(replace(REBUILT, binaries=(REBUILT.binaries[0],), binnmu=f"1.0-1+b{number}") for number in (1, 2)),
    PATCHED,
    PATCHED_SECURE,
    DEPENDENCY,
    DEPENDENCY_NEWER,
    AHEAD,
    AHEAD_NEWER,
    ORPHAN,
    TWICE,
)


def make_standard(root: Path, workshop: Path) -> FrozenArchive:
    """Make the archive below `root`, and publish trixie, trixie-updates and trixie-security.

    Packages are made in `workshop`, and found there again the next time.
    """
    with ThreadPoolExecutor(max_workers=2) as pool:
        made = dict(zip(SOURCES, pool.map(lambda each: make(each, workshop / _directory(each)), SOURCES), strict=True))
    archive = FrozenArchive(root)
    archive.add(made[GREETER], "trixie", without=("greeter-extra",), signed=True)
    archive.add(made[EPOCHAL], "trixie")
    archive.add(made[REBUILT], "trixie", without=("rebuilt",))
    for source in SOURCES:
        if source.binnmu:
            archive.add_debs(made[source].debs, "trixie", source=source.name)
    archive.add(made[PATCHED], "trixie")
    archive.add(made[PATCHED_SECURE], "trixie-security", only_listed=("patched_2.0.orig.tar.gz",))
    archive.add(made[DEPENDENCY], "trixie")
    archive.add(made[DEPENDENCY_NEWER], "trixie-updates")
    archive.add(made[AHEAD], "trixie")
    archive.add_source(made[AHEAD_NEWER].files, "trixie")
    archive.add_debs(made[ORPHAN].debs, "trixie", source="orphan")
    archive.add(made[TWICE], "trixie")
    archive.add(made[TWICE], "trixie-security")
    archive.publish_all()
    return archive


def _directory(source: Source) -> str:
    return f"{source.name}_{source.binnmu or source.version}".replace(":", "%")
