"""Files of ours: what is said when the operating system refuses."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from rebuilder.errors import StorageFailure
from rebuilder.world.files import storage_errors


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EACCES, "make it accessible to this user"),
        (errno.EROFS, "read-only file system"),
        (errno.ENOTDIR, "name another directory"),
    ],
)
def test_the_way_out_fits_the_refusal(number: int, advice: str) -> None:
    """Only a full disk is answered with freeing space."""
    with pytest.raises(StorageFailure) as caught, storage_errors(Path("place")):
        raise OSError(number, os.strerror(number))
    assert str(caught.value) == f"place: {os.strerror(number)}"
    assert (caught.value.hint or "").startswith(("free some space", advice, "it is on a"))
    assert ("free some space" in (caught.value.hint or "")) == (number in {errno.ENOSPC, errno.EDQUOT})
