"""Optional recognisers that read a text with a model; each needs a package that is not installed by default."""
