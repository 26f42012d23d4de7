"""Strategy: what the base can do with no example, with a few, and tuned, on the same held-out records; and what follows
from it."""
