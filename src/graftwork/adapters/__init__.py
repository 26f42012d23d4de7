"""Adapters: methods (one file each), rank plans, targets, the bank, file formats, merging."""
