"""Databases that keep the registry's rows: in memory, SQLite, PostgreSQL."""
