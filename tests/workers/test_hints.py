"""Whoever is refused is told what to do."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from rebuilder import errors
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
