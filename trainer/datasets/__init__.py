"""Real data sets that come with the product, put into Redis and read back as training rows."""
