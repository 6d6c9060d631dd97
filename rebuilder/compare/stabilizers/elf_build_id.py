"""`elf-build-id`: the linker's hash over the unstripped file, and the debuglink derived from the debug file.

Both follow from debug information that is no longer in the file: a line number in a header that was updated since is
enough to change them. The comparison has shown before that every other byte of the file is equal, those outside all
sections included; the line of md5sums that follows such a change goes with it.
"""

from __future__ import annotations

from rebuilder.compare.differences import Difference, ElfRegionDiffers
from rebuilder.compare.stabilizers.removal import Removal
from rebuilder.model.comparison import Stabilizer


def _removes(difference: Difference) -> bool:
    return isinstance(difference, ElfRegionDiffers) and difference.only_build_id


ELF_BUILD_ID = Removal(stabilizer=Stabilizer(name="elf-build-id", version=1), removes=_removes)
