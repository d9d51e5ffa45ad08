"""Simulation: scenes, the virtual cell, and what is learned from them."""
