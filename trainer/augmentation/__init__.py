"""Augmentation: training rows altered as they are learned from."""
