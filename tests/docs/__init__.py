"""The documentation: its pages build, and what they say is true of the code."""
