"""Text to typed statements, with positions: PostgreSQL's own parser, identifiers, lock modes. Pure."""
