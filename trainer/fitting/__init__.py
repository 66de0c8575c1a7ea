"""Fitting: epochs over the training rows, and everything that has a say in them."""
