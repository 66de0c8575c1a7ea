"""What was fetched from Redis, kept on disk: bytes by their digest, and what names meant last."""
