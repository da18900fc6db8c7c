"""Connections: opened, guarded against a dead network."""
