"""Looking at a results directory as a reader does."""

from __future__ import annotations

from pathlib import Path

from rebuilder.publish.layout import DERIVED_NAMES

MARKERS = {".lock", ".pending", ".staging"}


def tree(root: Path) -> dict[str, bytes]:
    """Every file a reader sees, by its path."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.relative_to(root).parts[0] not in MARKERS
    }


def derived(root: Path) -> list[Path]:
    """Every file that can be made again from the documents."""
    return [
        path
        for path in root.rglob("*")
        if path.name in DERIVED_NAMES or path.relative_to(root).parts[0] in {"by-digest", "static"}
        if path.is_file()
    ]


def pages(root: Path) -> list[Path]:
    """Every HTML page of ours."""
    return sorted(path for path in root.rglob("*.html") if path.name != "diffoscope.html")
