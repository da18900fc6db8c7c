"""Copies of a database, and what is measured on them."""
