"""What is on record: versions of adapters, names that point to them, and a ledger of everything that was done.

interface   the seams: a database of rows, a store of blobs, and what each promises
manifest    what a version is; its digest is its identity
naming      names and stages, moved by compare and swap; every move kept
ledger      entries chained by hash, each with a digest of every row that it wrote
signing     Ed25519 over DSSE envelopes with in-toto statements
access      roles, permissions, API keys
policy      what a version needs to go to a stage
checking    verify: the first wrong entry, row, blob or signature, by name
"""
