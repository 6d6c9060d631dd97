"""The stand-ins answer like the services that debrebuild asks."""

from __future__ import annotations

import json
import socket
import struct
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from bench.snapshot import VERSIONS, Seen
from bench.stand_in import answer_name, answer_versions, read_form, serving

MAKE = Seen(
    name="make", version="1:4.4-1", archive="debian", suite="stable", component="main", timestamp="20260102T030405Z"
)
NAMES = ("archive.test",)


@pytest.fixture
def services(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """An archive's address, and the port of the name server."""
    (tmp_path / VERSIONS).write_text(json.dumps([asdict(MAKE)]))
    for path in ("mr/package/make/index", "mr/package/make/1:4.4-1/srcfiles"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    with serving(tmp_path, NAMES, (0, 0)) as (archive, names):
        yield f"http://127.0.0.1:{archive}", names


def test_an_index_of_versions_names_the_place_of_each_package() -> None:
    """The architecture is the one that was asked for: debootsnap asks for arch:all packages as native ones."""
    status, lines = answer_versions({"archive": "debian", "arch": "amd64", "pkgs": "make:amd64=1:4.4-1"}, [MAKE])
    assert (status, lines) == (200, "make amd64 1:4.4-1 stable main 20260102T030405Z 20260102T030405Z\n")


@pytest.mark.parametrize("archive", ["debian", "debian-ports"])
def test_an_index_of_versions_names_what_it_lacks(archive: str) -> None:
    """Another version, and another archive, are not found; only what is missing is named."""
    wanted = "sed:amd64=4.9-2" + (",make:amd64=1:4.4-1" if archive == "debian" else "")
    assert answer_versions({"archive": archive, "pkgs": wanted}, [MAKE]) == (404, "sed amd64 4.9-2\n")


def test_a_form_is_read_as_files_come() -> None:
    """Each field is a part with a file name, as Python's `requests` sends `files`."""
    body = b'--x\r\nContent-Disposition: form-data; name="pkgs"; filename="pkgs"\r\n\r\nmake:amd64=1\r\n--x--\r\n'
    assert read_form("multipart/form-data; boundary=x", body) == {"pkgs": "make:amd64=1"}


def test_files_are_served_whatever_the_query_and_doubled_slashes(services: tuple[str, int]) -> None:
    """Debootsnap doubles the first slash, debsnap asks for a directory and with a query."""
    address, _ = services
    assert _get(f"{address}//mr/package/make/") == b"mr/package/make/index"
    assert _get(f"{address}/mr/package/make/1:4.4-1/srcfiles?fileinfo=1") == b"mr/package/make/1:4.4-1/srcfiles"


@pytest.mark.parametrize("path", ["absent", "mr/package", "mr/../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd"])
def test_nothing_else_is_served(services: tuple[str, int], path: str) -> None:
    """What is no file of the snapshot is not found."""
    with pytest.raises(urllib.error.HTTPError, match="404"):
        _get(f"{services[0]}/{path}")


def test_versions_are_asked_by_post(services: tuple[str, int]) -> None:
    """The whole way of a question, over HTTP."""
    parts = (("archive", "debian"), ("arch", "amd64"), ("pkgs", "make:amd64=1:4.4-1"))
    body = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{n}"; filename="{n}"\r\n\r\n{v}\r\n' for n, v in parts
    )
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{services[0]}/cgi-bin/api",
        data=f"{body}--x--\r\n".encode(),
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - loopback
        assert answer.read().startswith(b"make amd64 1:4.4-1 stable main ")


def test_a_name_is_loopback_and_no_other_name_exists(services: tuple[str, int]) -> None:
    """Apt asks for service records of the name as well: no such name, at once, not silence."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(5)
        asking.connect(("127.0.0.1", services[1]))
        asking.send(b"no question")
        asking.send(_question("Archive.TEST", kind=1))
        known = asking.recv(512)
        asking.send(_question("_http._tcp.archive.test", kind=33))
        unknown = asking.recv(512)
    assert (known[3] & 15, known[-4:]) == (0, bytes([127, 0, 0, 1]))
    assert (unknown[3] & 15, unknown[6:8]) == (3, b"\0\0")


def test_a_known_name_without_a_record_of_the_kind_exists() -> None:
    """Asked for an IPv6 address, the name is there and has none: that is no error."""
    answer = answer_name(_question("archive.test", kind=28), NAMES)
    assert (answer[:2], answer[3] & 15, answer[6:8]) == (b"\x12\x34", 0, b"\0\0")


def _get(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310 - loopback
        return bytes(answer.read())


def _question(name: str, *, kind: int) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!HHHHHH", 0x1234, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)
