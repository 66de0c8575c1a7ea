"""Rivals that pin packages of their own: each runs with the Python of .venv/rivals and imports nothing of ours."""
