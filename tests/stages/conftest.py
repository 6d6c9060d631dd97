"""The tiny base image and the engine of tests/build serve here as well."""

from __future__ import annotations

from tests.build.conftest import busybox, engine, index, tiny, tiny_rootfs

__all__ = ["busybox", "engine", "index", "tiny", "tiny_rootfs"]
