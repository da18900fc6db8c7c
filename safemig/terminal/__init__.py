"""What the command line prints, and how: text, JSON, colours, how much of it."""
