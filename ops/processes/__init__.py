"""Entries of the product's processes."""
