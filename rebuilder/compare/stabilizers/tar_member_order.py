"""`tar-member-order`: the order of members in control.tar and data.tar, where unpacking gives the same in any order.

Not where two members land at one place, however their names are spelled (`/usr/bin/x`, `./usr/bin/x`, `./bin/x`),
where there are hard links or names with `..`, or where a member lies below one that is no directory.
"""

from __future__ import annotations

from rebuilder.compare.differences import Difference, OrderDiffers, Place
from rebuilder.compare.stabilizers.removal import Removal
from rebuilder.model.comparison import Stabilizer


def _removes(difference: Difference) -> bool:
    match difference:
        case OrderDiffers(place=Place.CONTROL | Place.DATA, matters=False):
            return True
        case _:
            return False


TAR_MEMBER_ORDER = Removal(stabilizer=Stabilizer(name="tar-member-order", version=1), removes=_removes)
