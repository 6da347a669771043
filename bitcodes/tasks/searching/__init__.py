"""Searching: queries, rows and results, and a set that stays open for them."""
