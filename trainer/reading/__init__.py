"""Rows to learn from that lie elsewhere than in Redis: files and arrays, read through the feature view."""
