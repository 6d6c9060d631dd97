"""What `make` runs: set-up of this checkout and of the machine. Not part of the package."""
