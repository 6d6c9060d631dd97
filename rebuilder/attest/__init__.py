"""Keys, envelopes, links, statements; signing as a step of its own; and checking what was published."""
