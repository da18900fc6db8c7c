"""Dumps: written, read, hashed, compressed, restored."""
