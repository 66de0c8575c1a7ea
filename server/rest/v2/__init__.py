"""The Open Inference Protocol over HTTP: its paths, bodies and errors; what they mean is in `server.open_inference`."""
