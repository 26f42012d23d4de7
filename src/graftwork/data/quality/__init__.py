"""Quality: small checks of records, each of whose decisions is a value. Nothing disappears without a word."""
