"""How statements run on a database: from lock to COMMIT and its outcome."""
