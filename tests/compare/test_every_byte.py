"""No byte of a .deb can change unseen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rebuilder.compare.files import compare_file
from rebuilder.compare.rule import DEB
from rebuilder.model.verdict import Verdict
from tests.compare.makers import sample

PLAIN = replace(sample(), compression="none").build()
PACKED = replace(sample(), compression="gzip").build()


def _dates(data: bytes) -> set[int]:
    """Positions of the dates in the ar headers."""
    found = set()
    for name in (b"debian-binary ", b"control.tar", b"data.tar"):
        start = data.index(name)
        found |= set(range(start + 16, start + 28))
    return found


def _verdict(directory: Path, reference: bytes, rebuilt: bytes) -> Verdict:
    paths = directory / "reference", directory / "rebuilt"
    for path, data in zip(paths, (reference, rebuilt), strict=True):
        path.write_bytes(data)
    return compare_file(*paths, filename="sample.deb", rule=DEB).verdict


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, len(PLAIN) - 1), change=st.integers(1, 255))
def test_any_changed_byte_is_a_difference_that_stays(tmp_path: Path, position: int, change: int) -> None:
    """In a .deb without compression, whatever byte is changed, the verdict is different: only ar dates are stabilized.

    A changed date inside a tar archive, or a changed build-id, is not consistent with its checksum.
    """
    changed = PLAIN[:position] + bytes([PLAIN[position] ^ change]) + PLAIN[position + 1 :]
    expected = {Verdict.DIFFERENT, Verdict.EQUIVALENT} if position in _dates(PLAIN) else {Verdict.DIFFERENT}
    assert _verdict(tmp_path, PLAIN, changed) in expected


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(st.tuples(st.integers(0, 2**16), st.binary(max_size=8), st.integers(0, 8)), min_size=1, max_size=4),
    packed=st.booleans(),
)
def test_mutilated_packages_give_a_verdict(
    tmp_path: Path, edits: list[tuple[int, bytes, int]], *, packed: bool
) -> None:
    """Cut, inserted and overwritten bytes anywhere: always a verdict, never an exception."""
    original = data = PACKED if packed else PLAIN
    for position, inserted, removed in edits:
        at = position % (len(data) + 1)
        data = data[:at] + inserted + data[at + removed :]
    verdict = _verdict(tmp_path, original, data)
    assert (verdict is Verdict.REPRODUCED) == (data == original)
    assert _verdict(tmp_path, data, original) is verdict
