"""What a table may say of a place that files come from: each check raises ValueError that names all that is wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,63}\Z")
_SUITE = re.compile(r"[A-Za-z0-9*][A-Za-z0-9*._+~-]{0,63}(?:/[A-Za-z0-9*][A-Za-z0-9*._+~-]{0,63})?\Z")
_PATTERN = re.compile(r"[a-z0-9*?][a-z0-9*?+.-]{0,254}\Z")
_URI_LIMIT = 2000
_IMAGE = re.compile(
    r"(?:(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?/)?"
    r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*"
    r"@sha256:[0-9a-f]{64}\Z"
)
_IMAGE_LIMIT = 400
_ENGINES = frozenset({"tcp", "http", "https"})


def verify_label(label: str) -> None:
    """A label names an archive in documents and directories: no path, no address."""
    if not _LABEL.match(label):
        raise ValueError(f"expected letters, digits, spaces and . _ + - (at most 64), found {label[:60]!r}")


def verify_uri(uri: str) -> None:
    """An address that can be fetched from: http or https with a host, or file with an absolute path."""
    parts = urlsplit(uri)  # raises ValueError for brackets that are no address
    is_whole = parts.hostname if parts.scheme in {"http", "https"} else parts.scheme == "file" and parts.path[:1] == "/"
    if not is_whole or len(uri) > _URI_LIMIT or any(not char.isprintable() or char == " " for char in uri):
        raise ValueError(f"expected an address with http://, https:// or file:///, found {uri[:60]!r}")
    if parts.query or parts.fragment:
        raise ValueError(f"expected an address without ? and #, found {uri[:60]!r}")
    _ = parts.port  # raises ValueError for a port that is none


def verify_web_address(uri: str) -> None:
    """An address that is asked questions, which a directory does not answer: http or https."""
    verify_uri(uri)
    if urlsplit(uri).scheme not in {"http", "https"}:
        raise ValueError(f"expected an address with http:// or https://, found {uri[:60]!r}")


def verify_engine(address: str) -> None:
    """Where a container engine listens: a local socket, or a host."""
    parts = urlsplit(address)
    is_whole = parts.path[:1] == "/" if parts.scheme == "unix" else parts.scheme in _ENGINES and bool(parts.hostname)
    if not is_whole or not address.isprintable():
        raise ValueError(f"expected unix:///PATH, tcp://HOST:PORT, http://… or https://…, found {address[:60]!r}")
    _ = parts.port  # raises ValueError for a port that is none


def verify_suites(suites: Sequence[str]) -> None:
    """At least one suite or component, each by its name; `*` stands for any, also within: `*-security`."""
    if not suites:
        raise ValueError("expected at least one name, found none")
    wrong = [suite[:60] for suite in suites if not _SUITE.match(suite)]
    if wrong:
        raise ValueError(f"expected names, found {', '.join(map(repr, wrong))}")


def verify_files(paths: Sequence[Path]) -> None:
    """Each file that is named is there."""
    absent = [str(path) for path in paths if not path.is_file()]
    if absent:
        raise ValueError(f"no such file: {', '.join(absent)}")


def verify_file(path: Path) -> None:
    """The file that is named is there."""
    verify_files((path,))


def verify_image(reference: str) -> None:
    """An image in a registry by its digest, `NAME@sha256:…`; a tag beside the digest would say what nobody checks."""
    if len(reference) > _IMAGE_LIMIT or not _IMAGE.match(reference):
        raise ValueError(f"expected an image as NAME@sha256: and 64 hexadecimal digits, found {reference[:160]!r}")


def verify_images(images: Sequence[tuple[str, str]]) -> None:
    """Each suite is named in full, and its image by digest."""
    for suite, reference in images:
        if not _SUITE.match(suite) or "*" in suite:
            raise ValueError(f"expected the name of a suite, found {suite[:60]!r}")
        verify_image(reference)


def verify_database(address: str) -> None:
    """The address of a PostgreSQL database, without a password: that one is in a file of its own."""
    _verify_service(address, ("postgresql", "postgresql+psycopg"), "postgresql://USER@HOST/NAME")


def verify_broker(address: str) -> None:
    """The address of a Redis server, without a password: that one is in a file of its own."""
    _verify_service(address, ("redis", "rediss"), "redis://USER@HOST:PORT/NUMBER")


def verify_pattern(pattern: str) -> None:
    """A pattern of package names: `*` for any characters, `?` for one."""
    if not _PATTERN.match(pattern):
        raise ValueError(f"expected a package's name, where * and ? may stand for others, found {pattern[:60]!r}")


def _verify_service(address: str, schemes: Sequence[str], form: str) -> None:
    parts = urlsplit(address)  # raises ValueError for brackets that are no address
    if parts.password is not None:
        raise ValueError(f"expected {form} without a password, found one; put it into a file")
    is_whole = parts.scheme in schemes and parts.hostname and len(address) <= _URI_LIMIT
    if not is_whole or any(not char.isprintable() or char == " " for char in address):
        raise ValueError(f"expected {form}, found {address[:60]!r}")
    _ = parts.port  # raises ValueError for a port that is none
