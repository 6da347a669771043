"""Code sets in databases: one small adapter for each engine, behind the interface of hamming."""
