"""Running a runbook, the archive of executed notebooks, the ledger of their hashes."""
