"""Foreign files: one module per format, to and from a scene."""
