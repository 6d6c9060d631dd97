"""What tests of the farm's workers share: the tiny image and engine of tests/build, a farm's keys, an empty ledger."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rebuilder.store.database import Database
from tests.build.conftest import busybox, engine, tiny_rootfs
from tests.servers import Postgres
from tools import farm_secrets

__all__ = ["busybox", "engine", "tiny_rootfs"]


@pytest.fixture
def farm(tmp_path: Path) -> Path:
    """Make the keys and state directories of a farm, as `make up` does."""
    farm_secrets.prepare(tmp_path / "farm", builders=2, architecture="amd64", owner=os.geteuid())
    return tmp_path / "farm"


@pytest.fixture
def ledger(postgres_server: Postgres, postgres_database: Database, tmp_path: Path) -> dict[str, str]:
    """Settings that name an empty ledger on a real PostgreSQL."""
    secret = tmp_path / "password"
    secret.write_text(postgres_server.password)
    return {"farm_database": postgres_server.address, "farm_database_password_file": str(secret)}
