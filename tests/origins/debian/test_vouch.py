"""Locks from elsewhere: nothing is bootstrapped that no signed index names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rebuilder.errors import UntrustedError
from rebuilder.model.digest import Digest
from rebuilder.origins.debian.image import lock_image
from rebuilder.origins.debian.vouch import verify_vouched
from tests.origins.debian.paragraphs import BASE, view_of, write_index
from tests.origins.debian.test_exact import PAST, FakeSnapshot


def test_a_lock_of_the_suite_as_it_is_is_vouched_for(tmp_path: Path) -> None:
    """Whoever wrote it down: the suite's own indices name every package."""
    view = view_of(write_index(tmp_path / "main", BASE))
    verify_vouched(lock_image(view), view, None)


def test_an_older_lock_needs_the_indices_of_its_time(tmp_path: Path) -> None:
    """Where the suite has moved on, the snapshot's signed index vouches; without one the hint says so."""
    lock = lock_image(view_of(write_index(tmp_path / "then", BASE)))
    now = view_of(write_index(tmp_path / "now", [("make", "5.0-1", ""), *(each for each in BASE if each[0] != "make")]))
    verify_vouched(lock, now, FakeSnapshot(write_index(tmp_path / "past", BASE, archive=PAST)))
    with pytest.raises(UntrustedError, match=r"names make 4\.4-1 \(sha256:.*no signed index does") as refused:
        verify_vouched(lock, now, None)
    assert "debian.snapshot" in (refused.value.hint or "")


def test_attack_a_lock_with_a_package_of_the_attackers(tmp_path: Path) -> None:
    """A known name and version with other bytes is refused, with and without a snapshot."""
    index = write_index(tmp_path / "main", BASE)
    lock = lock_image(view_of(index))
    evil = replace(lock.packages[0], digest=Digest.of(b"evil"))
    forged = replace(lock, packages=(evil, *lock.packages[1:]))
    for snapshot in (None, FakeSnapshot(index)):
        with pytest.raises(UntrustedError, match=rf"{evil.name} .*{evil.digest}"):
            verify_vouched(forged, view_of(index), snapshot)
