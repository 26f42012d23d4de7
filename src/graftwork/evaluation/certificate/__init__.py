"""The certificate: subjects evaluated under equal conditions, shown to be equal, and what follows. Pure."""
