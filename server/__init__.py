"""The server: loads bundles from Redis, runs them in ONNX Runtime, answers through its doors."""
