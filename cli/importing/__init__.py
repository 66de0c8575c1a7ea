"""`insitu import`: what another system keeps in Redis moves in under our layout; RedisAI's is read here alone."""
