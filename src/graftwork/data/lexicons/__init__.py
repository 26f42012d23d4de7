"""Sensitive words in answers: lists, and how a text is read so that a word is found however it is written."""
