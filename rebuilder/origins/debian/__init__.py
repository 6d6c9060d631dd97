"""Debian releases: resolved from the signed archive, and authenticated from end to end."""
