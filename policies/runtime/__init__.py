"""Policies as they run: no torch, one thread, nothing but arrays."""
