"""Exact Hamming search and the re-ranking of its shortlists."""
