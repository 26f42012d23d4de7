"""Statistics: intervals, paired comparisons, power. Pure; one idea a file."""
