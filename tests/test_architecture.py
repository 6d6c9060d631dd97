"""The shape of the tree: imports point one way, files stay small, nothing names a machine or a registry."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

ROWS: tuple[frozenset[str], ...] = (
    frozenset({"errors", "model"}),
    frozenset({"config", "progress"}),
    frozenset({"world"}),
    frozenset({"store"}),
    frozenset({"trust", "build", "compare", "attest"}),
    frozenset({"origins", "publish"}),
    frozenset({"stages", "doctor"}),
    frozenset({"pipeline"}),
    frozenset({"cli", "web", "__main__"}),
    frozenset({"workers"}),
)
"""From the bottom up. A part may import what stands in earlier rows: no neighbours, nothing that is built on it.

The first row is one thing: errors name causes, and what reads values raises errors.
"""

LONGEST_FILE = 400
SOURCES = ("rebuilder", "workers", "tools", "tests", "bench", "recipes", "docs")
TOP_FILES = ("*.md", "*.toml", "*.lock", "*.yml", "*.yaml", "Makefile", ".ci/run", ".editorconfig", ".gitignore")

# In pieces, so that this file does not name what it forbids.
REGISTRY_HOSTS = "|".join(
    (
        r"\b(?:deb|security|ftp|snapshot|httpredir)\.deb" + r"ian\.org",
        r"\bpy" + r"pi\.org",
        r"files\.python" + r"hosted",
        r"registry\.npm" + r"js",
        r"proxy\.gol" + r"ang",
        r"index\.crates" + r"\.io",
    )
)
MACHINE_PATHS = "|".join((r"/wo" + r"rk/(?:main|shared|steering|\.library)", r"/tmp/" + r"w/", r"/fa" + r"rm/in"))


def python_files(*folders: str) -> list[Path]:
    """All Python files below these folders."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def part_of(module: str) -> str | None:
    """Which part of the tree a dotted module name belongs to; None for what is not ours or is the package itself."""
    first, _, rest = module.partition(".")
    if first == "workers":
        return "workers"
    return rest.partition(".")[0] or None if first == "rebuilder" else None


def row_of(part: str) -> int:
    """Return the number of a part's row; a part without one is a mistake in the table or in the tree."""
    for number, row in enumerate(ROWS):
        if part in row:
            return number
    pytest.fail(f"{part} stands in no row of ROWS: say where it belongs")


def imported(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each import in a module of `package`, those inside functions and conditions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(package.split(".")[: -(node.level - 1) or None]) if node.level else ""
            module = ".".join(filter(None, (start, node.module)))
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def faults(source: str, module: str, package: str) -> Iterator[str]:
    """Name the imports of a module that go sideways or up."""
    own = part_of(module)
    if own is None:
        return
    for line, name in imported(source, package):
        other = part_of(name)
        if other is None or other == own or other.startswith("__version__"):
            continue
        if row_of(other) >= max(row_of(own), 1):
            yield f"{module}, line {line}: {own} must not import {other} ({name})"


def test_imports_point_one_way() -> None:
    """Each part imports only parts of the rows below it: not its neighbours, and nothing that is built on it."""
    found: list[str] = []
    for path in python_files("rebuilder", "workers"):
        names = path.relative_to(ROOT).with_suffix("").parts
        is_package = names[-1] == "__init__"
        module = ".".join(names[:-1] if is_package else names)
        package = module if is_package else ".".join(names[:-1])
        found += faults(path.read_text(), module, package)
    assert found == []


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("rebuilder.model.plan", "from rebuilder.config import Settings", "model must not import config"),
        ("rebuilder.trust.openpgp", "from rebuilder.build import engine", "trust must not import build"),
        ("rebuilder.trust.openpgp", "def late():\n    import rebuilder.pipeline", "trust must not import pipeline"),
        ("rebuilder.trust.openpgp", "from ..attest.keys import Role", "trust must not import attest"),
        ("rebuilder.cli.verify", "from workers.tasks import app", "cli must not import workers"),
        ("rebuilder.cli.verify", "from rebuilder import web", "cli must not import web"),
    ],
)
def test_an_import_against_the_order_is_found(module: str, source: str, expected: str) -> None:
    """The check sees imports that go up or sideways, however they are written."""
    (fault,) = faults(source, module, module.rpartition(".")[0])
    assert expected in fault


def test_an_import_along_the_order_is_allowed() -> None:
    """The check lets a part use its own modules and the rows below."""
    source = "from rebuilder.model import plan\nfrom . import keys\nfrom rebuilder.attest.keys import Role\nimport os"
    assert list(faults(source, "rebuilder.attest.link", "rebuilder.attest")) == []


def test_files_stay_small() -> None:
    """No file of ours has more than 400 lines; the longest are named in the failure."""
    lengths = {
        str(path.relative_to(ROOT)): path.read_text().count("\n")
        for path in python_files("rebuilder", "workers", "tools", "tests", "bench")
    }
    longest = sorted(lengths.items(), key=lambda item: -item[1])[:8]
    assert [entry for entry in longest if entry[1] > LONGEST_FILE] == [], longest


def text_files() -> Iterator[Path]:
    """Every text file that is committed, without asking git: a source archive is checked as well."""
    yield from (path for pattern in TOP_FILES for path in ROOT.glob(pattern))
    for folder in SOURCES:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts and b"\0" not in path.read_bytes()[:4096]:
                yield path


def test_no_file_names_a_registry_or_a_machine() -> None:
    """Mirrors are learnt from the machine's configuration, and no path of one machine is in the tree."""
    pattern = re.compile(f"{REGISTRY_HOSTS}|{MACHINE_PATHS}")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in text_files()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []
