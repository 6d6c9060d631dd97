"""Downloads for who must make none: builders have every input by digest before they begin."""

from __future__ import annotations

from pathlib import Path

from rebuilder.errors import NetworkFailure
from rebuilder.model.digest import Digest


class Nowhere:
    """A Fetcher that refuses everything."""

    def get(self, url: str, *, limit_bytes: int) -> bytes:  # noqa: ARG002 - nothing is fetched
        """See Fetcher.get."""
        raise _refusal(url)

    def download(
        self,
        url: str,
        path: Path,  # noqa: ARG002 - nothing is fetched
        *,
        size_bytes: int | None,  # noqa: ARG002
        digest: Digest | None,  # noqa: ARG002
        limit_bytes: int,  # noqa: ARG002
    ) -> Digest:
        """See Fetcher.download."""
        raise _refusal(url)


def _refusal(url: str) -> NetworkFailure:
    name = url.rpartition("/")[2][:100]
    return NetworkFailure(
        f"{name} would have to be downloaded, and this role downloads nothing",
        hint="the planner puts every input into the blob store before a rebuild is owed",
    )
