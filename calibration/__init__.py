"""Finding out where cameras, tools and loads are, and the records of it."""
