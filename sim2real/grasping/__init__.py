"""Grasping in simulation: labels, training runs and evaluation of policies."""
