"""Bytes to file and back: layout, directory, checks. Never decodes, never imports a codec."""
