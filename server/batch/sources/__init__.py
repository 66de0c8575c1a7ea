"""Sources: where the rows of a job come from, in bounded steps that can be taken up again.

opening    what a job names -> its source
matching   SCAN of one Redis or of every node of a cluster
named      a set, sorted set, list or stream
found      an index of Redis' search
in_files   lines of a file, of a pipe, of standard input
columns    CSV and Parquet: in_tables, a column of keys; instances, whole rows; tables and
           column_types below them need pyarrow
gathering  steps made into steps worth taking      positions  where a walk goes on
checking   keys that none can be                   files, threads  reading beside the loop
"""
