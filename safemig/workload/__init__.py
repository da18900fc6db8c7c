"""The application's own statements: collected from where they run, and tried on the copy before and after a migration."""
