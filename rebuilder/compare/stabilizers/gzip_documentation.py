"""`gzip-documentation`: header and packing of gzip files that only people read: changelogs, manuals, info pages.

Their content is compared by itself. A gzip file anywhere else is data of a program and stays as it is.
"""

from __future__ import annotations

from rebuilder.compare.causes import is_documentation
from rebuilder.compare.differences import CompressionDiffers, Difference, Place, StreamHeaderDiffers
from rebuilder.compare.stabilizers.removal import Removal
from rebuilder.model.comparison import Stabilizer


def _removes(difference: Difference) -> bool:
    match difference:
        case CompressionDiffers(place=Place.DATA) | StreamHeaderDiffers(place=Place.DATA):
            return difference.path.endswith(".gz") and is_documentation(difference.path)
        case _:
            return False


GZIP_DOCUMENTATION = Removal(stabilizer=Stabilizer(name="gzip-documentation", version=1), removes=_removes)
