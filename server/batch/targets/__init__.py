"""Targets: where the answers of a job go; each writes the same rows twice without harm.

target     what all have        in_redis   strings, fields, a hash, a sorted set, a stream
in_files   Parquet, CSV         output     standard output
"""
