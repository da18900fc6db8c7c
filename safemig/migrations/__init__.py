"""Migration files: names, versions, checksums, order."""
