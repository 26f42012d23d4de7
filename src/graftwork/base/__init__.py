"""The frozen base model: facts from its config, loading, fingerprint, chat template."""
