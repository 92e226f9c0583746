"""The rows: one schema for SQLite and PostgreSQL."""
