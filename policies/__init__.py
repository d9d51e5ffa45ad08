"""Grasp policies: models on disk, what runs them, and how they are trained."""
