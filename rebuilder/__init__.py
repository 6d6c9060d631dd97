"""Independent rebuilds of released artifacts: authenticate, rebuild, compare, attest."""

__version__ = "0.1.0"
