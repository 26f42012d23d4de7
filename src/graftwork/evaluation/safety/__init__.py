"""What the dimension `safety` asks, one file a kind of question."""
