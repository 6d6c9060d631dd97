"""A results directory with one result of every kind, made once; and ways to look at one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rebuilder.publish.tree import publish
from rebuilder.store.blobs import LocalBlobs
from tests.publish import factory, hostile


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results that tests only read."""
    directory = tmp_path_factory.mktemp("published")
    blobs = factory.blob_store(directory / "store")
    for dossier, ordinal in [*factory.sample(), (hostile.dossier(), 0)]:
        publish(factory.publication(dossier, ordinal=ordinal, blobs=blobs), directory / "results", blobs)
    return directory / "results"


@pytest.fixture
def results(published: Path, tmp_path: Path) -> Path:
    """Make a copy of those results that a test may change."""
    shutil.copytree(published, tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    """Make a store with the signed indices in it."""
    return factory.blob_store(tmp_path / "store")
