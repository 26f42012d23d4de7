"""The pages people read: what became of every row, and samples of what is learned; each one file of HTML. No torch."""
