"""Looking at a results directory as a reader does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
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


class Page(HTMLParser):
    """What a browser would act on: elements with their attributes, and the text between them."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an element."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        """Keep text."""
        self.words.append(data)

    @property
    def text(self) -> str:
        """Join the text, white space made single."""
        return re.sub(r"\s+", " ", "".join(self.words))

    def all(self, tag: str) -> Iterator[dict[str, str]]:
        """Find the attributes of every element of a kind."""
        return (attributes for name, attributes in self.elements if name == tag)
