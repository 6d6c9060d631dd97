from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebuilder.errors import HostileInput
from rebuilder.publish import layout
from tests.publish import factory, hostile

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(TEXT)
def test_any_name_becomes_one_harmless_part(name: str) -> None:
    """An encoded part is short, visible, a plain file name, and none of our own."""
    part = layout.encode_part(name)
    assert 0 < len(part) <= layout.PART_LIMIT
    assert part.isascii()
    assert "/" not in part
    assert not part.startswith(".")
    assert part not in layout.DERIVED_NAMES | layout.TOP_LEVEL_NAMES
    assert PurePosixPath("a", part).parts == ("a", part)


@given(TEXT, TEXT)
def test_different_names_never_share_a_part(one: str, other: str) -> None:
    """Encoding is injective, shortened names included."""
    assert (layout.encode_part(one) == layout.encode_part(other)) == (one == other)


@given(st.text("abc:+~ é%", min_size=1, max_size=8))
def test_short_names_can_be_read_back(name: str) -> None:
    """A name that was not shortened is its part, decoded."""
    assert unquote(layout.encode_part(name)) == name


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("1:2.3-4+b1~rc1", "1%3A2.3-4+b1~rc1"),
        ("..", "%2E."),
        (".hidden", "%2Ehidden"),
        ("a/b", "a%2Fb"),
        ("index.html", "%69ndex.html"),
        ("blobs", "%62lobs"),
        ("\0", "%00"),
    ],
)
def test_known_parts(name: str, part: str) -> None:
    """An epoch, a parent directory, a hidden file, a separator, our own names, and NUL."""
    assert layout.encode_part(name) == part


def test_a_shortened_name_cannot_be_posed_as() -> None:
    """The literal form of a shortened name is encoded to something else."""
    short = layout.encode_part("n" * 10_000)
    assert layout.encode_part(short) != short


@pytest.mark.parametrize("name", ["", "\ud800"])
def test_names_that_are_no_text_are_refused(name: str) -> None:
    """Neither an empty name nor half a surrogate pair can be published."""
    with pytest.raises(HostileInput, match=r"empty name|not Unicode"):
        layout.encode_part(name)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (
            "links/libfoo_1%3a2_amd64.deb/dsse/rebuild.0123abcd.link",
            "links/libfoo_1%3a2_amd64.deb/dsse/rebuild.0123abcd.link",
        ),
        ("reports/../../../etc/passwd", "reports/%2E./%2E./%2E./etc/passwd"),
        ("reports/x/index.html", "reports/x/%69ndex.html"),
    ],
)
def test_document_paths_stay_inside_and_plain_ones_stay_as_signed(name: str, path: str) -> None:
    """A statement that names its evidence by path finds it; a path that climbs does not climb."""
    assert str(layout.document_path(name)) == path


def test_documents_that_are_too_deep_are_refused() -> None:
    """Depth is bounded."""
    with pytest.raises(HostileInput, match="7 directories deep"):
        layout.document_path("a/b/c/d/e/f/g")


def test_a_hostile_dossier_has_a_path_below_its_package() -> None:
    """Names of 10 kB full of markup give five plain parts."""
    dossier = hostile.dossier()
    path = layout.result_path(dossier, factory.rebuild_id(dossier))
    assert len(path.parts) == 5
    assert len(str(path)) < 400


@pytest.mark.parametrize("identifier", ["", "..", "0" * 16 + "-9f86d081-0", "unplanned-" + "0" * 16 + "-9f86d081-0"])
def test_a_rebuild_id_of_something_else_is_refused(identifier: str) -> None:
    """The directory's name is bound to the plan in it."""
    with pytest.raises(HostileInput, match="expected a rebuild id"):
        layout.result_path(factory.dossier(), identifier)
