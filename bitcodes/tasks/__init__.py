"""Tasks: what each command does, as a library call that returns a result."""
