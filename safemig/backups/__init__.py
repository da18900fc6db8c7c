"""Backup folders: manifests, and the swap of a restored database."""
