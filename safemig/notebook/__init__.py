"""IPython: the magics, the approval gate, progress."""
