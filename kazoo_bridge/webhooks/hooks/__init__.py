"""Hooks: documents, validation, the registry in memory, changes."""
