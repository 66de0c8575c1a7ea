"""Sources: where the rows of a job come from, in bounded steps that can be taken up again.

matching   SCAN of one Redis or of every node of a cluster      named     a set, sorted set, list or stream
found      an index of Redis' search                            in_files  lines, CSV, Parquet, standard input
"""
