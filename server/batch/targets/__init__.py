"""Targets: where the answers of a job go; each writes the same rows twice without harm, as far as it can.

opening      what a job says -> a target     target       what all have
strings      a key a row                     fields       fields of the hash that was read
shared_keys  a hash, a sorted set, a stream  output       standard output
in_files     columns in a file               csv_files, parquet_files, parts_folder   how they lie there
naming       the key of each answer          sending      commands to Redis, and its refusals
error_list   where bad rows are listed
"""
