"""`tar-mtimes`: dates of members of control.tar and data.tar. Content, mode, owner and order are not touched."""

from __future__ import annotations

from rebuilder.compare.differences import AttributeDiffers, Difference, Place
from rebuilder.compare.readers.archive import Attribute
from rebuilder.compare.stabilizers.removal import Removal
from rebuilder.model.comparison import Stabilizer


def _removes(difference: Difference) -> bool:
    match difference:
        case AttributeDiffers(place=Place.CONTROL | Place.DATA, attribute=Attribute.MTIME):
            return True
        case _:
            return False


TAR_MTIMES = Removal(stabilizer=Stabilizer(name="tar-mtimes", version=1), removes=_removes)
