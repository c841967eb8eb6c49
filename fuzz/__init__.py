"""Fuzz harnesses: each takes --seconds N and exits 0 when nothing was found."""
