"""Benchmarks: each prints a ratio to a baseline measured side by side in the same run."""
