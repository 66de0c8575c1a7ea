"""The Redis protocol: AI.* and INSITU.* answered here, everything else passed through to Redis byte for byte."""
