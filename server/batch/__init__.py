"""Scoring of many keys: every key that matches is read, run and its answer written back."""
