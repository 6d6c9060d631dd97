"""A value that was kept is read as it was, or made again."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebuilder.build.cache import PreparedRecord
from rebuilder.model import codec
from rebuilder.model.release import FileReference
from rebuilder.store.kept import load_kept
from tests.publish import factory


def _value() -> FileReference:
    return factory.release().sources[0]


def test_what_was_kept_is_found(tmp_path: Path) -> None:
    """The value comes back equal."""
    (tmp_path / "kept.json").write_bytes(codec.render(_value()))
    assert load_kept(tmp_path / "kept.json", FileReference) == _value()


@pytest.mark.parametrize("data", [b"", b"{", b"{}", b"[]", b"\xff", b" " * (8 * 1024**2 + 1)])
def test_damage_is_absence(data: bytes, tmp_path: Path) -> None:
    """Cut short, emptied, of another kind, or longer than anything that we keep."""
    (tmp_path / "kept.json").write_bytes(data)
    assert load_kept(tmp_path / "kept.json", FileReference) is None


def test_another_kind_and_no_file_are_absence(tmp_path: Path) -> None:
    """Nothing there, a directory there, or another value there."""
    (tmp_path / "kept.json").write_bytes(codec.render(_value()))
    assert load_kept(tmp_path / "kept.json", PreparedRecord) is None
    assert load_kept(tmp_path / "absent.json", FileReference) is None
    assert load_kept(tmp_path, FileReference) is None
