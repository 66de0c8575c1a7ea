"""Networks built from a recipe's list of layers."""
