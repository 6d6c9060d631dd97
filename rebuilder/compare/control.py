"""The control file of a .deb, field by field (Debian Policy, chapter 5 and 7.1)."""

from __future__ import annotations

import re

from rebuilder.compare.differences import ControlFieldDiffers
from rebuilder.compare.texts import decode
from rebuilder.compare.walk import Pair, Walk
from rebuilder.errors import HostileInput
from rebuilder.model.cause import Cause

_LIMIT_BYTES = 1024**2
_RELATIONS = frozenset(
    {
        "depends",
        "pre-depends",
        "recommends",
        "suggests",
        "enhances",
        "breaks",
        "conflicts",
        "replaces",
        "provides",
        "built-using",
        "static-built-using",
        "x-cargo-built-using",
    }
)
_FOR_READERS = frozenset(
    {
        "installed-size",
        "maintainer",
        "original-maintainer",
        "description",
        "description-md5",
        "homepage",
        "section",
        "tag",
        "bugs",
        "origin",
    }
)
"""Fields that the package manager does not act upon."""
_CONSTRAINT = re.compile(r"(\(\s*(?:<<|<=|>=|>>|=|<|>)?)\s*[^()]{0,200}\)")
_VERSION_IN_NAME = re.compile(r"(?<=[a-z-])\d+(?:\.\d+)+")


def compare_control(walk: Walk, pair: Pair) -> None:
    """Add one difference for each field; anything that is no control file is compared as bytes."""
    try:
        old = _fields(pair.reference.whole(_LIMIT_BYTES))
        new = _fields(pair.rebuilt.whole(_LIMIT_BYTES))
    except HostileInput as error:
        walk.add_bytes(pair, not_opened=str(error))
        return
    if old == new:
        walk.add_bytes(pair, not_opened="all fields are equal, but not how they are written")
    for key in sorted(old.keys() | new.keys()):
        reference, rebuilt = old.get(key), new.get(key)
        if reference != rebuilt:
            walk.collector.add(
                ControlFieldDiffers(
                    path=f"{pair.path}/{key}",
                    field=key,
                    cause=_cause(key.lower(), reference, rebuilt),
                    reference=reference,
                    rebuilt=rebuilt,
                )
            )


def only_versions_differ(reference: str, rebuilt: str) -> bool:
    """Whether two relation fields name the same packages under the same operators."""
    old, new = _without_versions(reference), _without_versions(rebuilt)
    return old == new or _VERSION_IN_NAME.sub("", old) == _VERSION_IN_NAME.sub("", new)


def _without_versions(value: str) -> str:
    return _CONSTRAINT.sub(r"\1)", value)


def _cause(key: str, reference: str | None, rebuilt: str | None) -> Cause:
    if key == "build-ids":
        return Cause.BUILD_ID
    if key in _FOR_READERS:
        return Cause.ARCHIVE_METADATA
    if key in _RELATIONS and reference is not None and rebuilt is not None and only_versions_differ(reference, rebuilt):
        return Cause.DEPENDENCY_VERSION
    return Cause.PAYLOAD_CHANGED


def _fields(data: bytes) -> dict[str, str]:
    text = decode(data)
    if text is None:
        raise HostileInput("a control file that is not text")
    fields: dict[str, str] = {}
    key = ""
    for line in text.rstrip("\n").split("\n"):
        if line[:1] in {" ", "\t"} and key:
            fields[key] += "\n" + line
            continue
        key, colon, value = line.partition(":")
        if not colon or not key.isascii() or not key.strip() or key in fields:
            raise HostileInput(f"a control file with a malformed or repeated line {line[:60]!r}")
        fields[key] = value.strip()
    return fields
