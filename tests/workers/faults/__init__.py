"""Faults that the farm survives, each done to real processes."""
