"""Files behind URLs: fetching them, and decoding them while they arrive."""
