"""Counting: numbers that the workers of a server share, and their text for Prometheus."""
