"""Training: a spec in, step reports out. The loop writes nothing; whoever runs it decides what to keep."""
