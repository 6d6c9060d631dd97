"""Which version of a package is the newest, and which results are about the same line of it."""

from __future__ import annotations

import re
from typing import TypeAlias

Key: TypeAlias = tuple[object, ...]
"""Compares as the ecosystem orders its versions."""

_RUN = re.compile(r"([^0-9]*)([0-9]*)")
_EPOCH = re.compile(r"([0-9]{1,9}):")
_SAME_LINE = re.compile(r"(?<=[A-Za-z0-9])(?:-security|-updates|-proposed-updates|/updates)\Z")
_END = ((0,), (0, ""))


def version_key(ecosystem: str, version: str) -> Key:
    """Make a key that orders versions of one package; all are equal where the ecosystem's order is not known.

    Debian's order is that of deb-version(7); a text that is no Debian version has its place too.
    """
    return _debian_key(version) if ecosystem.removeprefix("local-") == "deb" else ()


def base_suite(suite: str) -> str:
    """Name the suite that a suite of fixes belongs to: `trixie-security` and `trixie-updates` are trixie's.

    Backports are a line of their own: their versions come from the next release.
    """
    return _SAME_LINE.sub("", suite)


def _debian_key(version: str) -> Key:
    epoch = _EPOCH.match(version)
    rest = version[epoch.end() :] if epoch else version
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "")
    return (int(epoch[1]) if epoch else 0, _part_key(upstream), _part_key(revision))


def _part_key(part: str) -> Key:
    """Pair each run of other characters with the number after it; an absent number is 0, an absent part too."""
    pairs = [((*map(_weight, word), 0), _number(digits)) for word, digits in _RUN.findall(part)]
    while pairs and pairs[-1] == _END:
        pairs.pop()
    return (*pairs, _END)


def _weight(character: str) -> int:
    """`~` before the end (0), letters before everything else."""
    if character == "~":
        return -1
    return ord(character) + (0 if character.isascii() and character.isalpha() else 256)


def _number(digits: str) -> tuple[int, str]:
    """Compare as the number does, however long a stranger made it."""
    significant = digits.lstrip("0")
    return (len(significant), significant)
