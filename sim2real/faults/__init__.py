"""The fault catalogue: what can break, injected where it would, and what follows."""
