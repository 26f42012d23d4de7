"""From tokens to text as it is told: whole characters, up to a stop string, through filters."""
