"""Searching indices as bytes: exactly what a full parser finds, in bounded memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from debian.deb822 import Deb822

from rebuilder.errors import HostileInput
from rebuilder.model.digest import Digest
from rebuilder.origins.debian import index
from rebuilder.origins.debian.index import IndexFile, IndexKind
from rebuilder.origins.debian.stanza import BuiltPackage, parse_binary, parse_source

DIGEST = "b" * 64


def binary(name: str, *, source: str = "", version: str = "1.0-1", extra: str = "") -> str:
    """Write a paragraph of a Packages index."""
    line = f"Source: {source}\n" if source else ""
    return (
        f"Package: {name}\n{line}Version: {version}\nArchitecture: amd64\nDescription: x\n Package: trap\n{extra}"
        f"Filename: pool/main/{name[0]}/{name}/{name}_{version}_amd64.deb\nSize: 9\nSHA256: {DIGEST}\n"
    )


def write(tmp_path: Path, *paragraphs: str, ending: str = "\n") -> IndexFile:
    """Write an index of paragraphs."""
    path = tmp_path / "Packages"
    path.write_text("\n".join(paragraphs).rstrip("\n") + ending)
    return IndexFile(
        kind=IndexKind.PACKAGES,
        path=path,
        digest=Digest.of(b""),
        document=Digest.of(b""),
        archive="debian",
        suite="trixie",
        component="main",
        architecture="amd64",
    )


PARAGRAPHS = (
    binary("cjson"),
    binary("libcjson1", source="cjson"),
    binary("libcjson-dev", source="cjson (1.0-1)", version="1.0-1+b2"),
    binary("cjson-other", source="cjson-other (1.0-1)"),
    binary("cjson2"),
    binary("xcjson", source="xcjson"),
    binary("impostor", extra="X-Note: y\n Source: cjson\n"),
)


@pytest.mark.parametrize("ending", ["", "\n", "\n\n"])
@pytest.mark.parametrize("window", [64, 300, 4 * 1024**2])
def test_binaries_of_a_source_are_found_by_exact_name(
    window: int, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By own name, by Source, by Source with a version; not by prefix, nor by a line inside a description."""
    monkeypatch.setattr(index, "_WINDOW_BYTES", window)
    found = index.find_binaries_of(write(tmp_path, *PARAGRAPHS, ending=ending), "cjson")
    assert [(each.package.name, each.source_version) for each in found] == [
        ("cjson", "1.0-1"),
        ("libcjson1", "1.0-1"),
        ("libcjson-dev", "1.0-1"),
    ]


def test_a_package_that_is_named_like_another_source_is_not_of_it(tmp_path: Path) -> None:
    """A binary called like the source but built from another source does not belong to it."""
    assert index.find_binaries_of(write(tmp_path, binary("cjson", source="elsewhere")), "cjson") == ()


def test_many_names_are_found_in_one_pass(tmp_path: Path) -> None:
    """With every version, in the order of the index."""
    file = write(tmp_path, *PARAGRAPHS, binary("cjson", version="2.0-1"))
    found = index.find_packages(file, {"cjson", "cjson2", "absent"})
    assert [(each.package.name, each.package.version) for each in found] == [
        ("cjson", "1.0-1"),
        ("cjson2", "1.0-1"),
        ("cjson", "2.0-1"),
    ]
    assert {"cjson", "impostor"} <= index.package_names(file)
    assert "trap" not in index.package_names(file)


def test_the_search_agrees_with_a_full_parser(tmp_path: Path) -> None:
    """Every package of a larger index is found, once."""
    file = write(tmp_path, *(binary(f"package{number}", source=f"source{number % 7}") for number in range(700)))
    parsed = [paragraph["Package"] for paragraph in Deb822.iter_paragraphs(file.path.read_text(), use_apt_pkg=False)]
    found = [each.package.name for number in range(7) for each in index.find_binaries_of(file, f"source{number}")]
    assert sorted(found) == sorted(parsed)


def test_memory_is_flat(tmp_path: Path) -> None:
    """A search of a 40 MB index takes a few windows of memory, not the index."""
    paragraph = binary("filler", extra=f"Tag: {'x' * 4000}\n") + "\n"
    file = write(tmp_path, binary("cjson"), ending="\n\n")
    with file.path.open("a") as stream:
        stream.writelines(paragraph for _ in range(10_000))
    tracemalloc.start()
    try:
        assert len(index.find_binaries_of(file, "cjson")) == 1
        assert tracemalloc.get_traced_memory()[1] < 24 * 1024**2
    finally:
        tracemalloc.stop()


def test_an_endless_paragraph_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No honest stanza is as long as that."""
    monkeypatch.setattr(index, "_WINDOW_BYTES", 1024)
    monkeypatch.setattr(index, "_STANZA_LIMIT_BYTES", 4096)
    with pytest.raises(HostileInput, match="a stanza of more than 4096 bytes"):
        index.find_binaries_of(write(tmp_path, binary("x1", extra="Tag: " + "y" * 9000 + "\n")), "x1")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("Package: cjson", "Package: ../x", "not a package name"),
        ("Version: 1.0-1", "Version: 1/2", "not a package version"),
        ("pool/main/c", "../../etc", "not a path inside an archive"),
        ("pool/main/c", "/etc", "not a path inside an archive"),
        ("Size: 9", "Size: -9", "not a file size"),
        ("Size: 9\n", "", "has no field Size"),
        (DIGEST, "md5", "not a SHA-256"),
        ("Architecture: amd64", "Architecture: a/b", "not an architecture"),
        ("Version:", "Source: a b c\nVersion:", "unreadable Source field"),
    ],
)
def test_a_binary_paragraph_that_could_mislead_is_refused(before: str, after: str, words: str) -> None:
    """What would leave a directory or name nothing is refused, though the archive signed for it."""
    with pytest.raises(HostileInput, match=words):
        parse_binary(binary("cjson").replace(before, after).encode(), "debian", "trixie")


SOURCE = f"""\
Package: cjson
Version: 1:1.0-1
Package-List:
 libcjson1 deb libs optional arch=any
 cjson-doc deb doc optional arch=all profile=!nodoc
 cjson-stage deb doc optional arch=any profile=stage1,pkg.cjson.x+!cross
 cjson-udeb udeb debian-installer optional arch=linux-any
Checksums-Sha256:
 {DIGEST} 10 cjson_1.0-1.dsc
 {DIGEST} 20 cjson_1.0.orig.tar.gz
Directory: pool/main/c/cjson
"""


def test_a_source_paragraph_is_read() -> None:
    """Files with their places, and what is built where and under which profiles."""
    read = parse_source(SOURCE.encode(), "debian", "trixie")
    assert read.dsc.location == "pool/main/c/cjson/cjson_1.0-1.dsc"
    assert [built.is_built_by_default for built in read.builds] == [True, True, False, True]
    assert read.builds[3] == BuiltPackage(name="cjson-udeb", kind="udeb", architectures=("linux-any",))


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("cjson_1.0.orig.tar.gz", "../x", "not a plain file name"),
        ("cjson_1.0.orig.tar.gz", "cjson_1.0-1.dsc", "is named twice"),
        ("cjson_1.0.orig.tar.gz", "cjson_1.1-1.dsc", "exactly one .dsc"),
        (" 20 ", " ", "expected digest, size and name"),
        ("Directory: pool", "Directory: ..", "not a path inside an archive"),
        ("Checksums-Sha256", "Checksums-Sha1", "has no field Checksums-Sha256"),
    ],
)
def test_a_source_paragraph_that_could_mislead_is_refused(before: str, after: str, words: str) -> None:
    """As for binaries."""
    with pytest.raises(HostileInput, match=words):
        parse_source(SOURCE.replace(before, after, 1).encode(), "debian", "trixie")
