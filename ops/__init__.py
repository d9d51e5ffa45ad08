"""Composition root, command line and everything that runs around the cell."""
