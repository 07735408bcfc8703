"""Measurements of the course itself; nothing here is needed to learn with it."""
