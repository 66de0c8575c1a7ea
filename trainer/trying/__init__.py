"""Trying: several trainings of one recipe: a search of its values, folds of its rows."""
