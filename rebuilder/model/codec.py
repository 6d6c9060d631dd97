"""Canonical JSON (RFC 8785) of the nouns, and back.

One converter for every stored or signed document that is made of our own values: `render` is deterministic, `parse`
refuses unknown and missing keys, duplicate keys, wrong types, and numbers that are not what they should be. The
round trip is exact: `render(parse(data, cls)) == data` for everything that `render` made.
"""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NoReturn, TypeVar

import rfc8785
from cattrs import Converter
from cattrs.errors import BaseValidationError
from cattrs.gen import make_dict_unstructure_fn, override
from cattrs.preconf.json import configure_converter

from rebuilder.errors import HostileInput
from rebuilder.model.digest import Digest

Value = TypeVar("Value")

DOCUMENT_LIMIT_BYTES = 64 * 1024**2
_LARGEST_INTEGER = 2**53 - 1
"""RFC 8785 has no other integers: beyond, two programs may read two numbers."""

_LATER = "later"


def later() -> dict[str, bool]:
    """Make the metadata of a field that was added when documents were out already: its default is not written.

    So documents from before have the bytes, and the digests, that they had.
    """
    return {_LATER: True}


def _make_converter() -> Converter:
    converter = Converter(forbid_extra_keys=True, prefer_attrib_converters=False)
    configure_converter(converter)
    converter.register_unstructure_hook_factory(
        lambda kind: bool(_later_fields(kind)),
        lambda kind: make_dict_unstructure_fn(kind, converter, **_later_fields(kind)),
    )
    converter.register_unstructure_hook(Digest, str)
    converter.register_structure_hook(Digest, lambda value, _: Digest.parse(_text(value)))
    converter.register_unstructure_hook(datetime, render_time)
    converter.register_structure_hook(datetime, lambda value, _: parse_time(_text(value)))
    converter.register_unstructure_hook(timedelta, lambda value: int(value.total_seconds()))
    converter.register_structure_hook(timedelta, lambda value, _: timedelta(seconds=_integer(value)))
    converter.register_structure_hook(str, _structure_text)
    converter.register_structure_hook(int, lambda value, _: _integer(value))
    converter.register_structure_hook(float, lambda value, _: _number(value))
    converter.register_structure_hook(bool, lambda value, _: _boolean(value))
    return converter


def _later_fields(kind: object) -> dict[str, Any]:
    if not is_dataclass(kind) or not isinstance(kind, type):
        return {}
    return {field.name: override(omit_if_default=True) for field in fields(kind) if _LATER in field.metadata}


def _structure_text(value: object, kind: type[str]) -> str:
    """Text stays text; for a closed set (a StrEnum is a str as well) it must be one of its words."""
    return kind(_text(value)) if issubclass(kind, StrEnum) else _text(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"text expected, found {type(value).__name__}")  # noqa: TRY004 - a document is wrong, not a caller
    value.encode("utf-8")  # a lone surrogate is no text: UnicodeEncodeError is a ValueError
    return value


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"integer expected, found {type(value).__name__}")  # noqa: TRY004 - a document is wrong, not a caller
    if abs(value) > _LARGEST_INTEGER:
        raise ValueError(f"integer beyond {_LARGEST_INTEGER}")
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"number expected, found {type(value).__name__}")  # noqa: TRY004 - a document is wrong, not a caller
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("number expected, found one beyond every bound")
    return number


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"true or false expected, found {type(value).__name__}")  # noqa: TRY004 - a document is wrong, not a caller
    return value


def render_time(moment: datetime) -> str:
    """RFC 3339 in UTC, to the second, with `Z`; raise ValueError for a time without a zone."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone is not a moment")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """Read what `render_time` writes, and nothing else."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def to_plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """Turn a noun into dicts, lists, strings and numbers."""
    return _CONVERTER.unstructure(value)


def render(value: object) -> bytes:
    """Canonical JSON bytes of a noun, or of plain data made of them (RFC 8785)."""
    return rfc8785.dumps(to_plain(value))


def parse(data: bytes, kind: type[Value]) -> Value:
    """Read a noun from JSON bytes; raise HostileInput for anything that is not exactly one."""
    plain = parse_json(data)
    if is_dataclass(kind) and not isinstance(plain, dict):
        raise HostileInput(
            f"not a valid {kind.__name__} document: an object expected, found {type(plain).__name__}",
        )
    try:
        return _CONVERTER.structure(plain, kind)
    except _REFUSALS as error:
        raise HostileInput(f"not a valid {kind.__name__} document: {_first_line(error)}") from error


def parse_json(data: bytes) -> Any:  # noqa: ANN401 - JSON
    """Read JSON strictly: bounded, UTF-8, no duplicate keys, no NaN, no absurd nesting; raise HostileInput."""
    if len(data) > DOCUMENT_LIMIT_BYTES:
        raise HostileInput(f"JSON document of {len(data)} bytes; at most {DOCUMENT_LIMIT_BYTES} are read")
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise HostileInput(f"not acceptable JSON: {_first_line(error)}") from error


_REFUSALS = (
    BaseValidationError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
"""What a value of a wrong type or size can raise in the converter."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("duplicate key in a JSON object")
    return result


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _first_line(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return (str(error) or type(error).__name__).splitlines()[0][:200]


_CONVERTER = _make_converter()
