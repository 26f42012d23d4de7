"""Records to batches: sources, layouts, splits, targets, and a report of what became of each record."""
