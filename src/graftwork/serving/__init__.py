"""Serving: a base and its adapters answer."""
