"""Sources of the frozen archive that are really built: one for each way a rebuild can end."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.archive.package import Binary, Source, usual_rules

_MD5SUMS = "cd debian/staging/$* && find usr -type f | LC_ALL=C sort | xargs md5sum > DEBIAN/md5sums"
_INSTALL = "> debian/staging/$*/usr/share/$*/made"
_PROGRAM = "#include <stdio.h>\nint main(void) { return puts(GREETING) < 0; }\n"
_COMPILE = (
    "install -d debian/staging/$*/usr/bin && gcc -x c -O2 -s -DGREETING='\"good morning\"' {options}"
    " -o debian/staging/$*/usr/bin/$* data/content"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A source, and how its published .debs were made."""

    source: Source
    factor: str | None = None
    """Its published .debs were built under this variation (`path`, `clock`), so not as the plan says."""
    is_built: bool = True
    """Whether it can be built; else its published .debs are of other contents, made by the tests."""


def _sample(name: str, *steps: str, factor: str | None = None, is_built: bool = True, **fields: str) -> Sample:
    source = Source(name=name, binaries=(Binary(name=name),), **{"version": "1.0-1", **fields})
    return Sample(source=_with_steps(source, *steps), factor=factor, is_built=is_built)


def _with_steps(source: Source, *steps: str) -> Source:
    return replace(source, rules=usual_rules(source, *steps, _MD5SUMS))


PAIR = Sample(
    source=_with_steps(
        Source(
            name="pair",
            version="1:1.0-1",
            binaries=(Binary(name="pair"), Binary(name="libpair1"), Binary(name="pair-doc", architecture="all")),
        )
    )
)
"""Reproducible: packages of both kinds, and an epoch, which file names lack."""
SOLID = _sample("solid", _COMPILE.format(options="-Wl,--build-id=sha1"), content=_PROGRAM)
"""Reproducible, with a program; the archive publishes it with one byte of the program changed."""
LOCATED = _sample(
    "located",
    _COMPILE.format(options="-Wl,--build-id=0x$$(pwd | sha1sum | cut -c 1-40)"),
    content=_PROGRAM,
    factor="path",
)
"""Its build-id, and nothing else, depends on the build path."""
REBUILT = _sample("rebuilt")
REBUILT_ONCE = replace(REBUILT, source=replace(REBUILT.source, binnmu="1.0-1+b1"))
"""A binNMU of it; the index lists both."""
DEPENDENCY = _sample("libdep", content="the older one\n")
DEPENDENCY_NEWER = _sample("libdep", content="the newer one\n", version="1.1-1")
"""A build-dependency in two versions, the first of which the mirror has dropped."""
LINKED = _sample("linked", f"cat /usr/share/libdep/content {_INSTALL}", build_depends="libdep")
"""Takes over what its build-dependency says; it was built with the older one."""
DICE = _sample("dice", f"head -c 16 /dev/urandom | od -x {_INSTALL}")
"""Never the same twice."""
DATED = _sample("dated", f"date +%Y {_INSTALL}", factor="clock")
"""The year of its build is in it; it was built in another year."""
GONE = _sample("gone", is_built=False)
"""The mirror lost its source."""
FALSE = _sample("false", "echo 'this one never worked'; exit 7", is_built=False)
"""Fails."""
SLEEPY = _sample("sleepy", "echo 'going to sleep'; sleep 600", is_built=False)
"""Hangs."""
FORKS = _sample("forks", "for i in $$(seq 200); do sleep 100 & done; wait", is_built=False)
"""Makes more processes than it may."""
HUNGRY = _sample("hungry", "perl -e '$$x = q(x) x 1_000_000_000; print length $$x'", is_built=False)
"""Takes a gigabyte of memory."""
VERBOSE = _sample("verbose", "yes 'and another thing' | head -c 100000000", is_built=False)
"""Writes a long log."""
GREEDY = _sample("greedy", "dd if=/dev/zero of=debian/zeros bs=1M count=200 && sleep 300", is_built=False)
"""Fills the disk, and stays."""
IDLE = Sample(
    source=Source(
        name="idle",
        version="1.0-1",
        binaries=(Binary(name="idle"),),
        rules="#!/usr/bin/make -f\n%:\n\t@echo 'nothing to do'\n",
    ),
    is_built=False,
)
"""Succeeds at making nothing."""

PUBLISHED = (
    PAIR,
    SOLID,
    LOCATED,
    REBUILT,
    REBUILT_ONCE,
    DEPENDENCY_NEWER,
    LINKED,
    DICE,
    DATED,
    GONE,
    FALSE,
    SLEEPY,
    FORKS,
    HUNGRY,
    VERBOSE,
    GREEDY,
    IDLE,
)
"""What the mirror has."""
