"""Sixty changes that people make to a staging database by hand, and the shop that they make them to."""
