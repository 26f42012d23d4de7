"""The engine: one frozen base, many adapters, requests that come and go at every step."""
