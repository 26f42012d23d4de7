"""vLLM as an engine behind the same names, the same registry and the same proof. A package of its own, never required.

Adapters are written out as PEFT folders and loaded while it runs, under the digest of what they compute; names are ours
alone.
"""
