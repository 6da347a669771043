"""Searching: queries, rows and results."""
