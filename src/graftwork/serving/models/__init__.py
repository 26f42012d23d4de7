"""From a name in the registry to an adapter in memory that is proved to act."""
