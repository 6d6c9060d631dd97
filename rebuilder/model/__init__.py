"""The nouns: frozen values with no I/O. Every other package speaks in these."""
