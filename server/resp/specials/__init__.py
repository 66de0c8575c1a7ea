"""Commands that are more than passed through.

Each takes a connection, the input and where in it the command is, and says whether it was begun; one
that was not is looked at again as soon as what it waits for is there.
"""
