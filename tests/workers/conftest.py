"""The tiny base image and the engine of tests/build serve the farm's workers as well."""

from __future__ import annotations

from tests.build.conftest import busybox, engine, tiny_rootfs

__all__ = ["busybox", "engine", "tiny_rootfs"]
