"""The resume certificate: a training killed again and again, and proof that it ends as one that was left alone."""
