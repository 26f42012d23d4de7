"""Words every room shares: errors, catalogs, specs, recipes, digests, units, whole files."""
