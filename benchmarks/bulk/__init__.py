"""Scoring of many keys: the rows, and the ways to score them, each a process of its own that says how fast it was.

rows        200,000 keys of each kind        receiving   the bytes alone, thrown away
textbook    the loop one writes by hand      reading     Insitu's read and run, written nowhere
"""
