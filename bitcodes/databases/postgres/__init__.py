"""Code sets in PostgreSQL: a table for each set, indexes on the parts of its codes."""
