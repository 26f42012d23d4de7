"""`graftwork registry`: versions, names, keys, and keeping them."""
