"""The guard: filters on prompts and on answers as they are said, which mask, flag or end them."""
