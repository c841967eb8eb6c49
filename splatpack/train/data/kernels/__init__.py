"""Compiled inner loops of reading photos."""
