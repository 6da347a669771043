"""Code sets in Milvus: a collection for each version of a set, an alias for the one that counts."""
