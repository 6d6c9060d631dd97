"""The documentation of the predicate keeps up with its schema."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import jsonschema

from rebuilder.attest.verdict import predicate_type
from rebuilder.model.cause import Cause
from rebuilder.model.verdict import Control, Verdict

SCHEMA = json.loads(files("rebuilder.attest").joinpath("schema/verdict-v1.schema.json").read_text("utf-8"))
TEXT = (Path(__file__).parents[2] / "docs" / "PREDICATE.md").read_text("utf-8")


def test_every_member_is_documented() -> None:
    """Each member of the predicate, and each predicate type, is named in docs/PREDICATE.md."""
    missing = [name for name in SCHEMA["$defs"]["predicate"]["properties"] if f"`{name}" not in TEXT]
    assert missing == []
    assert all(f"`{predicate_type(verdict)}`" in TEXT for verdict in Verdict)


def test_the_schema_is_one() -> None:
    """The schema satisfies JSON Schema 2020-12 and knows every cause."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_knows_the_closed_sets() -> None:
    """Causes, outcomes, standings and control answers in the schema are those of the program."""
    assert SCHEMA["$defs"]["cause"]["enum"] == [str(cause) for cause in Cause]
    answers = SCHEMA["$defs"]["predicate"]["properties"]["control"]["properties"]["answer"]["enum"]
    assert answers == [str(answer) for answer in Control]
