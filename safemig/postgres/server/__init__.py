"""Servers of our own, and PostgreSQL's programs on this machine."""
