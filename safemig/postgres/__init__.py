"""The only folder that talks to a server or to its programs."""
