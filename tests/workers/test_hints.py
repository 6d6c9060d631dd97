"""Whoever is refused is told what to do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from rebuilder import errors
from rebuilder.cli.app import app
from workers.lease.protocol import Forbidden

ROOT = Path(__file__).resolve().parent.parent.parent
ACTED_ON = (errors.UsageError, errors.NetworkFailure, errors.StorageFailure, errors.EngineFailure, Forbidden)
"""What a person at the farm can do something about; what a hostile input is like is for nobody to mend."""


def without_hint(source: str) -> Iterator[str]:
    """Name the errors that a person can act on, and that are made without a hint."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        kind = Forbidden if node.func.id == "Forbidden" else getattr(errors, node.func.id, None)
        is_ours = isinstance(kind, type) and issubclass(kind, ACTED_ON)
        if is_ours and not any(keyword.arg == "hint" for keyword in node.keywords):
            yield f"{node.func.id}, line {node.lineno}"


@pytest.mark.parametrize(
    "path",
    [*sorted(ROOT.glob("workers/**/*.py")), ROOT / "rebuilder/store/opening.py", ROOT / "rebuilder/store/workers.py"],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_every_refusal_says_what_to_do(path: Path) -> None:
    """A setting, a server, a disk, a name: each error about one of them has a hint."""
    assert list(without_hint(path.read_text("utf-8"))) == []


def test_a_refusal_without_a_hint_is_found() -> None:
    """Positive control."""
    assert list(without_hint("raise UsageError('no')\nraise UnknownTarget('no', hint='yes')\n")) == [
        "UsageError, line 1"
    ]


def half_named(source: str) -> Iterator[str]:
    """Name what hints call a verb, and is only a group of verbs: it prints its help, with exit code 2."""
    overview = app
    assert isinstance(overview, click.Group)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword) and node.arg in {"hint", "remedy"}:
            for name in re.findall(r"`rebuilder ([a-z-]+)`", ast.unparse(node.value)):
                if isinstance(overview.get_command(click.Context(overview), name), click.Group):
                    yield f"{name}, line {node.value.lineno}"


def test_hints_name_verbs_that_work() -> None:
    """Such as `rebuilder jobs list`, for `rebuilder jobs` lists nothing."""
    paths = sorted((*ROOT.glob("rebuilder/**/*.py"), *ROOT.glob("workers/**/*.py")))
    found = {str(path.relative_to(ROOT)): list(half_named(path.read_text("utf-8"))) for path in paths}
    assert {path: names for path, names in found.items() if names} == {}
    assert list(half_named("f(hint='say `rebuilder jobs`, or `rebuilder status`')")) == ["jobs, line 1"]
