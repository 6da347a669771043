"""What mutations.py tries: damaged files of each kind, and what must be said of them."""
