"""`deb-member-mtimes`: the dates in the ar headers of a .deb, which say when it was packed and which nobody reads."""

from __future__ import annotations

from rebuilder.compare.differences import AttributeDiffers, Difference, Place
from rebuilder.compare.readers.archive import Attribute
from rebuilder.compare.stabilizers.removal import Removal
from rebuilder.model.comparison import Stabilizer


def _removes(difference: Difference) -> bool:
    match difference:
        case AttributeDiffers(place=Place.OUTSIDE, attribute=Attribute.MTIME):
            return True
        case _:
            return False


DEB_MEMBER_MTIMES = Removal(stabilizer=Stabilizer(name="deb-member-mtimes", version=1), removes=_removes)
