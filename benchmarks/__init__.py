"""Benchmarks: Insitu beside what one would use instead, measured in turns in one run on one machine."""
