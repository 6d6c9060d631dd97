"""`compression-parameters`: how control.tar and data.tar were packed: format, level, window, checks, gzip header.

What they unpack to is compared by itself; bytes behind a stream or in skippable frames are another difference, which
stays.
"""

from __future__ import annotations

from rebuilder.compare.differences import CompressionDiffers, Difference, Place, StreamHeaderDiffers
from rebuilder.compare.stabilizers.removal import Removal
from rebuilder.model.comparison import Stabilizer


def _removes(difference: Difference) -> bool:
    match difference:
        case CompressionDiffers(place=Place.OUTSIDE) | StreamHeaderDiffers(place=Place.OUTSIDE):
            return True
        case _:
            return False


COMPRESSION_PARAMETERS = Removal(stabilizer=Stabilizer(name="compression-parameters", version=1), removes=_removes)
