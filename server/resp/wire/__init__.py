"""The bytes of the Redis protocol; what they mean is elsewhere."""
