"""Types, Protocols, errors and units that every other package may import."""
