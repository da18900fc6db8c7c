"""What a migration does to a database that is in use: hazards, locks, the verdict, the safer SQL. Pure."""
