"""The admin API: models in memory, names and their moves, keys, how the server stands."""
