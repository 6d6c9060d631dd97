"""The two canonical JSONs that signed documents need, with one error between them and us."""

from __future__ import annotations

from typing import Any

import rfc8785
from securesystemslib.exceptions import FormatError
from securesystemslib.formats import encode_canonical

from rebuilder.errors import HostileInput


def canonical(value: Any) -> bytes:  # noqa: ANN401 - plain JSON data has no narrower type
    """RFC 8785 bytes of plain data; raise HostileInput for numbers and texts that JSON cannot carry exactly."""
    try:
        return rfc8785.dumps(value)
    except (ValueError, RecursionError) as error:
        raise HostileInput(f"no canonical JSON for this value: {str(error)[:120]}") from error


def olpc_canonical(value: Any) -> bytes:  # noqa: ANN401 - plain JSON data has no narrower type
    """Bytes that classic in-toto metadata is signed over (OLPC canonical JSON: no floats, few escapes)."""
    try:
        return str(encode_canonical(value)).encode("utf-8")
    except (FormatError, UnicodeEncodeError, RecursionError) as error:
        raise HostileInput(f"no OLPC canonical JSON for this value: {str(error)[:120]}") from error
