"""The contract: what a model is and how it lies in Redis.

No weights and no networks live here: weights are in Redis, networks in `trainer/networks/`.
"""
