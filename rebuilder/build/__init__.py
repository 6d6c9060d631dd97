"""Images, prepared environments and containers: where a plan becomes a run. No container here ever has network."""
