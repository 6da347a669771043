"""Sources: where images come from (folders, lists, archives, URLs), and reading them."""
