"""How good answers are and what is to be thought of them: numbers in, numbers and words out; no torch, no Redis."""
