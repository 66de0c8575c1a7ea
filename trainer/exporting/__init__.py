"""Exporting: a fitted network as an ONNX file that answers as PyTorch does."""
