"""Frozen dataclasses from tables that people wrote (TOML, environment, options): strict, every fault reported.

A key is its field's name without the unit: the field `memory_bytes` is the key `memory` and reads `"6 GiB"`, `wall_s`
is `wall` and reads `"2 h"`. Nothing is guessed: an unknown key, a wrong type or an impossible value is a fault, named
by its key path, and the reading goes on to find the others.
"""

from __future__ import annotations

import difflib
import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

from rebuilder.model.quantity import parse_duration, parse_size

Value = TypeVar("Value")

Hint: TypeAlias = Any
"""A type as `typing.get_type_hints` gives it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong in a table."""

    key: str
    """Where: `limits.memory`, `debian.archives[2].uri`."""
    problem: str
    """What was expected and what was found."""

    def __str__(self) -> str:
        return f"{self.key}: {self.problem}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One setting that a table may hold."""

    path: str
    kind: Hint
    field: Field[Any]

    @property
    def is_list(self) -> bool:
        """Whether it takes several values."""
        return _origin(self.kind) is tuple


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How one table is read: where its relative paths start, and where its faults go."""

    base: Path
    """Relative paths are relative to this directory."""
    faults: list[Fault]


PAIRS: Hint = tuple[tuple[str, str], ...]
"""The type of a field that is read from a table of texts under keys of the person's own choice."""

CHECK = "check"
"""Key in a field's metadata: a function that raises ValueError for a converted value that is not allowed."""


def checked(check: Callable[[Any], None]) -> dict[str, Callable[[Any], None]]:
    """Make the metadata of a field whose value must pass `check` when it is read from a table."""
    return {CHECK: check}


def key_name(field: Field[Any]) -> str:
    """Name the key of a field: the field's name without the unit."""
    return field.name.removesuffix("_bytes").removesuffix("_s")


def keys(kind: type[Any], prefix: str = "") -> Iterator[Key]:
    """Every leaf key of a dataclass, nested tables included, lists of tables left out."""
    hints = typing.get_type_hints(kind)
    for field in fields(kind):
        inner, path = hints[field.name], prefix + key_name(field)
        if is_dataclass(inner):
            yield from keys(typing.cast("type[Any]", inner), f"{path}.")
        elif not _is_list_of_tables(inner):
            yield Key(path=path, kind=inner, field=field)


def apply(value: Value, table: Mapping[str, object], reading: Reading, prefix: str = "") -> Value:
    """Replace what the table names in a dataclass value; what is at fault is left as it was and reported."""
    kind = typing.cast("Any", type(value))
    changed = _changes(kind, table, reading, prefix, current=value)
    try:
        return typing.cast("Value", replace(typing.cast("Any", value), **changed))
    except ValueError as error:
        reading.faults.append(Fault(key=prefix.rstrip(".") or "settings", problem=str(error)))
        return value


def closest(word: str, known: list[str]) -> str:
    """Suggest `; did you mean …?` for a word near a known one, else nothing."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _changes(
    kind: Hint, table: Mapping[str, object], reading: Reading, prefix: str, *, current: object = None
) -> dict[str, object]:
    by_key = {key_name(field): field for field in fields(kind)}
    hints = typing.get_type_hints(kind)
    changed: dict[str, object] = {}
    for key, raw in table.items():
        field, path = by_key.get(key), prefix + key
        if field is None:
            reading.faults.append(Fault(key=path, problem=f"unknown key{closest(key, list(by_key))}"))
            continue
        inner = hints[field.name]
        try:
            if is_dataclass(inner):
                _require(isinstance(raw, Mapping), "a table", raw)
                before = getattr(current, field.name)
                changed[field.name] = apply(before, typing.cast("Mapping[str, object]", raw), reading, f"{path}.")
            elif _is_list_of_tables(inner):
                changed[field.name] = _tables(typing.get_args(inner)[0], raw, reading, path)
            else:
                changed[field.name] = _leaf(field, inner, raw, reading.base)
        except ValueError as error:
            reading.faults.append(Fault(key=path, problem=str(error)))
    return changed


def _tables(kind: Hint, raw: object, reading: Reading, path: str) -> tuple[object, ...]:
    _require(isinstance(raw, list), "a list of tables", raw)
    made = []
    for number, table in enumerate(typing.cast("list[object]", raw), start=1):
        where = f"{path}[{number}]"
        if not isinstance(table, Mapping):
            reading.faults.append(Fault(key=where, problem=f"expected a table, found {_described(table)}"))
            continue
        values = _changes(kind, table, reading, f"{where}.")
        missing = [f for f in fields(kind) if _is_required(f) and key_name(f) not in table]
        reading.faults.extend(Fault(key=f"{where}.{key_name(f)}", problem="this key is required") for f in missing)
        if not missing and len(values) == len(table):
            made.append(kind(**values))
    return tuple(made)


def _leaf(field: Field[Any], kind: Hint, raw: object, base: Path) -> object:
    value = _converted(field.name, _without_none(kind), raw, base)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"expected a number that ends, found {raw}")
    if isinstance(value, int | float | timedelta) and not isinstance(value, bool):
        zero = timedelta(0) if isinstance(value, timedelta) else 0
        lowest_is_zero = field.default == 0 or isinstance(value, timedelta)
        if value < zero or (value == zero and not lowest_is_zero):  # type: ignore[operator]  # zero is of value's kind
            raise ValueError(f"expected {'at least' if lowest_is_zero else 'more than'} 0, found {raw}")
    if CHECK in field.metadata:
        field.metadata[CHECK](value)
    return value


def _converted(name: str, kind: Hint, raw: object, base: Path) -> object:  # noqa: PLR0911 - one line a kind
    if kind == PAIRS:
        return _pairs(raw)
    if _origin(kind) is tuple:
        return _list(name, kind, raw, base)
    if _origin(kind) is Literal:
        return _choice(typing.get_args(kind), raw)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind(_choice(tuple(kind), raw))
    if name.endswith("_bytes") and isinstance(raw, str):
        return parse_size(raw)
    if name.endswith("_s") and isinstance(raw, str):
        seconds = parse_duration(raw).total_seconds()
        return round(seconds) if kind is int else seconds
    if kind is timedelta and isinstance(raw, str):
        return parse_duration(raw)
    return _plain(kind, raw, base)


def _plain(kind: Hint, raw: object, base: Path) -> object:
    if kind is Path:
        _require(isinstance(raw, str | Path) and str(raw) != "", "a path", raw)
        return _path(str(raw), base)
    if kind is float and isinstance(raw, int) and not isinstance(raw, bool):
        return float(raw)
    _require(
        isinstance(raw, kind) and (kind is bool or not isinstance(raw, bool)), _KINDS.get(kind, kind.__name__), raw
    )
    return raw


def _path(word: str, base: Path) -> Path:
    if "\0" in word:
        raise ValueError(f"expected a path, found {word[:60]!r}")
    try:
        return base / Path(word).expanduser()
    except RuntimeError as error:
        raise ValueError(f"expected the home directory of somebody who is here, found {word[:60]!r}") from error


_KINDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    timedelta: "a duration such as 90 s, 10 min, 2 h or 30 d",
}


def _list(name: str, kind: Hint, raw: object, base: Path) -> tuple[object, ...]:
    _require(isinstance(raw, list | tuple), "a list", raw)
    inner = typing.get_args(kind)[0]
    return tuple(_converted(name, inner, item, base) for item in typing.cast("list[object]", raw))


def _pairs(raw: object) -> tuple[tuple[str, str], ...]:
    _require(isinstance(raw, Mapping), "a table", raw)
    pairs = tuple(typing.cast("Mapping[str, object]", raw).items())
    for key, value in pairs:
        _require(isinstance(value, str), f"text for {key}", value)
    return typing.cast("tuple[tuple[str, str], ...]", pairs)


def _choice(allowed: tuple[str, ...], raw: object) -> str:
    if not isinstance(raw, str) or raw not in allowed:
        raise ValueError(f"expected {' or '.join(str(word) for word in allowed)}, found {_described(raw)}")
    return raw


def _require(condition: bool, wanted: str, raw: object) -> None:  # noqa: FBT001 - reads as an assertion
    if not condition:
        raise ValueError(f"expected {wanted}, found {_described(raw)}")


def _described(raw: object) -> str:
    return "a table" if isinstance(raw, Mapping) else repr(raw)[:60]


def _without_none(kind: Hint) -> Hint:
    if isinstance(kind, types.UnionType) or _origin(kind) is typing.Union:
        return next(inner for inner in typing.get_args(kind) if inner is not types.NoneType)
    return kind


def _origin(kind: Hint) -> object:
    return typing.get_origin(kind)


def _is_list_of_tables(kind: Hint) -> bool:
    return _origin(kind) is tuple and is_dataclass(typing.get_args(kind)[0])


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def from_word(key: Key, word: str) -> object:
    """Turn one word of text (an environment variable) into the raw value it stands for; raise ValueError."""
    kind = _without_none(key.kind)
    if kind == PAIRS:
        return dict(_pair(part.strip()) for part in word.split(",") if part.strip())
    if key.is_list:
        return [part.strip() for part in word.split(",") if part.strip()]
    reader: Callable[[str], object] = _WORDS.get(kind, str)
    if kind in {int, float} and key.field.name.endswith(("_bytes", "_s")):
        reader = str
    try:
        return reader(word)
    except (ValueError, KeyError) as error:
        raise ValueError(f"expected {_KINDS[kind]}, found {word[:60]!r}") from error


def _pair(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals:
        raise ValueError(f"expected NAME=VALUE, found {word[:60]!r}")
    return name.strip(), value.strip()


_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}

_WORDS: dict[Any, Callable[[str], object]] = {bool: lambda word: _BOOLEANS[word.lower()], int: int, float: float}
