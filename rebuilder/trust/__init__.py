"""One module a signature or provenance scheme. Each verifies, or raises: what comes back is what was signed."""
