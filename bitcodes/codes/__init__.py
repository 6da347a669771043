"""Binary codes: packing, and the code set that holds them."""
