"""Addresses of published files, relative to the page that names them.

File names are percent-encoded already; an address encodes the percent signs once more (RFC 3986, 2.4).
"""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import quote


def address(path: PurePosixPath | str) -> str:
    """Return the relative address of a file path."""
    return quote(str(path), safe="/+~.-_")


def page_of(path: PurePosixPath | str) -> str:
    """Return the address of a directory's page; named in full, so that it also works without a server."""
    return f"{address(path)}/index.html"


def to_root(path: PurePosixPath | str) -> str:
    """Return the prefix that leads from a page in directory `path` up to the results."""
    return "../" * len(PurePosixPath(path).parts)
