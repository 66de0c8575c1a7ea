"""The Open Inference Protocol as both of its doors need it: its words, tensors and descriptions, no transport."""
