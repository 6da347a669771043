"""Everything for users of Learning-bit-codes-for-images: its network, weights and settings."""
