"""Two releases as they were published and as they were rebuilt: what drift really looks like."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rebuilder.compare.files import compare_file
from rebuilder.compare.readers.deb import read_deb_member
from rebuilder.compare.rule import DEB
from rebuilder.model.cause import Cause
from rebuilder.model.verdict import Verdict
from tests.compare.makers import Deb, Entry, elf_section, flipped

ASSETS = Path(__file__).parent / "assets"
STABILIZERS = ["elf-build-id"]


@pytest.mark.parametrize(
    ("name", "digests", "verdict", "causes"),
    [
        (
            "bubblewrap",
            (
                "70aca4fa8daeacb677ec00e8063eb586f08ae3d94b1f11e684370b5524c43431",
                "e03e239e8374f0331d75015b651e929df09db3fc29acb4448ac031c47b20cfdd",
            ),
            Verdict.EQUIVALENT,
            (Cause.BUILD_ID,),
        ),
        (
            "libyaml-syck-perl",
            (
                "c54b4ba103c9f334f71209fb05332956ec217152d3bab6633e5b3d959c10ad13",
                "21d86cea0cb507164d611013174f168a657fb6e71e691f1c7923678a0b63bef9",
            ),
            Verdict.DIFFERENT,
            (Cause.DEPENDENCY_VERSION, Cause.BUILD_ID),
        ),
    ],
)
def test_real_drift(name: str, digests: tuple[str, str], verdict: Verdict, causes: tuple[Cause, ...]) -> None:
    """The verdict, its causes and the one stabilizer that applies, on real bytes, in both directions."""
    paths = ASSETS / name / "reference.deb", ASSETS / name / "rebuilt.deb"
    found = compare_file(*paths, filename=f"{name}.deb", rule=DEB)
    assert found.reference is not None
    assert found.rebuilt is not None
    assert (found.reference.digest.hex, found.rebuilt.digest.hex) == digests
    assert (found.verdict, found.causes) == (verdict, causes)
    assert [stabilizer.name for stabilizer in found.stabilizers] == STABILIZERS
    back = compare_file(*reversed(paths), filename=f"{name}.deb", rule=DEB)
    assert (back.verdict, back.causes) == (verdict, causes)


def test_one_byte_more_than_drift(tmp_path: Path) -> None:
    """The rebuilt program with one more byte changed is no longer equivalent."""
    programs = [
        read_deb_member(ASSETS / "bubblewrap" / f"{side}.deb", "/usr/bin/bwrap")[1] for side in ("reference", "rebuilt")
    ]
    base = Deb(data=(Entry(name="./usr/bin/bwrap", content=programs[0], mode=0o755),))
    reference = base.write(tmp_path / "reference")
    drifted = replace(base, data=(replace(base.data[0], content=programs[1]),))
    rebuilt = drifted.write(tmp_path / "rebuilt")
    assert compare_file(reference, rebuilt, filename="x", rule=DEB).verdict is Verdict.EQUIVALENT
    offset, size = elf_section(programs[1], ".text")
    tampered = drifted.with_file("./usr/bin/bwrap", flipped(programs[1], offset + size // 2)).write(tmp_path / "t")
    found = compare_file(reference, tampered, filename="x", rule=DEB)
    assert (found.verdict, found.causes[0]) == (Verdict.DIFFERENT, Cause.PAYLOAD_CHANGED)
    assert found.findings[0].path.endswith("/.text")
