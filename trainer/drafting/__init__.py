"""A first recipe for rows that nobody has described yet: looked at, chosen, and written with its reasons."""
