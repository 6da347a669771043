"""Encoding: new code sets, and those that grow and change."""
