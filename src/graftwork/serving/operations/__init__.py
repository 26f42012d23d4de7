"""Running a server: what it counts, what it logs, how much anybody may ask for, and a receipt of every answer."""
