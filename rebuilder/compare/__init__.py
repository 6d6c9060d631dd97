"""Comparing what was released with what was rebuilt: bytes first, then member by member, then in words."""
