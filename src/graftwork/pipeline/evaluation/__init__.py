"""The evaluation at work: who is asked, asking them all at once, what was measured, and what came of it."""
