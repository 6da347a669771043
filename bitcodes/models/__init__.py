"""Backbones, the hash layer, safe weight readers and checkpoints."""
