"""Rules that look for what an answer claims and its source does not say: numbers, dates, names."""
