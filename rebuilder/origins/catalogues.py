"""Whose suites can be imported: one line an ecosystem. It loads nothing that only planning a rebuild needs."""

from __future__ import annotations

from datetime import datetime

from rebuilder.config import Settings
from rebuilder.model.catalogue import Catalogue
from rebuilder.origins import ecosystems
from rebuilder.origins.debian.catalogue import DebianCatalogues
from rebuilder.store.blobs import BlobStore
from rebuilder.world.http import Fetcher

_CATALOGUES = {"deb": DebianCatalogues}


class Catalogues:
    """Opens suites of every ecosystem, with one set of settings."""

    def __init__(self, settings: Settings, fetcher: Fetcher, blobs: BlobStore) -> None:
        self._settings = settings
        self._fetcher = fetcher
        self._blobs = blobs

    def open(self, suite: str, now: datetime, architectures: tuple[str, ...]) -> Catalogue:
        """Describe everything that a suite offers for these architectures, as it is signed for now.

        `suite` is named with its ecosystem, for instance `deb:trixie`; raise UsageError for one that cannot be,
        UnknownTarget for one that is not there, UntrustedError for one that cannot be trusted.
        """
        return self._of(suite).open(suite, now, architectures)

    def verify_planned(self, suite: str, architectures: tuple[str, ...]) -> None:
        """Raise UsageError unless rebuilds of such packages of a suite can be planned; nobody is asked."""
        self._of(suite).verify_planned(suite, architectures)

    def _of(self, suite: str) -> DebianCatalogues:
        ecosystem = ecosystems.named_in(suite)
        make = _CATALOGUES.get(ecosystem)
        if make is None:
            raise ecosystems.unknown(ecosystem, _CATALOGUES)
        return make(self._settings, self._fetcher, self._blobs)
