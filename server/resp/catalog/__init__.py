"""COMMAND, MODULE LIST and INFO: what Redis tells of itself, with our commands in it."""
