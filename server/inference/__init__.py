"""The core: keys -> tensor -> ONNX Runtime -> answer. It knows no transport."""
