"""The bridge to lm-evaluation-harness: what our bank holds answers its tasks."""
