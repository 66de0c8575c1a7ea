"""Explanations: what each feature of a row adds to its prediction, from runs of the graph alone."""
