"""Whether unpacking the members of an archive in another order could give another result.

A place is where a member lands: names are resolved as a system does that unpacks below its root, on which the
top-level directories of the merged /usr are links (file-hierarchy(7)), and so are /var/run and /var/lock. Whatever is
not sure to be independent of order counts as depending on it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from rebuilder.compare.readers.archive import Attribute, Attributes, Member, MemberType

_LINKS = {
    **{name: ("usr", name) for name in ("bin", "sbin", "lib", "lib32", "lib64", "libo32", "libx32")},
    "var/run": ("run",),
    "var/lock": ("run", "lock"),
}
"""Directories that are links on an installed system, relative to the root."""


def order_matters(members: Iterable[Member]) -> bool:
    """Answer yes where two members land at one place, with hard links, with `..`, and below what is no directory.

    Two directories at one place (`./lib/` and `./usr/lib/`) are no such case when nothing but their dates differs:
    whichever comes second finds the first.
    """
    directories: dict[str, Attributes] = {}
    others: set[str] = set()
    spelled: set[str] = set()
    parents: set[str] = set()
    for member in members:
        if member.type is MemberType.HARDLINK or ".." in member.name.split("/"):
            return True
        name = _spelled(member.name)
        place = _place(name)
        if name in spelled or place in others:
            return True
        if member.type is MemberType.DIRECTORY:
            attributes = tuple(pair for pair in member.attributes if pair[0] != Attribute.MTIME)
            if directories.setdefault(place, attributes) != attributes:
                return True
        elif place in directories:
            return True
        else:
            others |= {name, place}
        spelled.add(name)
        parents |= {posixpath.dirname(name), posixpath.dirname(place)}
    return _any_below(parents, others)


def _spelled(name: str) -> str:
    """Return a name relative to the root, without what does not change where it leads."""
    return posixpath.normpath("/" + name.lstrip("/")).lstrip("/")


def _place(name: str) -> str:
    parts = name.split("/")
    for length in (1, 2):
        target = _LINKS.get("/".join(parts[:length]))
        if target is not None and len(parts) > length:
            return "/".join((*target, *parts[length:]))
    return name


def _any_below(parents: set[str], others: set[str]) -> bool:
    """Whether one of the directories that members lie in is, or lies below, a member that is no directory."""
    seen: set[str] = set()
    for parent in parents:
        while parent and parent not in seen:
            if parent in others:
                return True
            seen.add(parent)
            parent = posixpath.dirname(parent)  # noqa: PLW2901 - climbs to the root
    return False
