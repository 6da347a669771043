"""Near-duplicates: found, looked at again, decided, and moved."""
