"""A result as text, HTML, SVG or JSON. Pure."""
