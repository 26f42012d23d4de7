"""Everyday facts that no training in one field should cost a model; written for graftwork, under its licence."""
