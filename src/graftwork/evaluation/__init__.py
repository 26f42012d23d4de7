"""Evaluation: held-out records scored, every number with its uncertainty."""
