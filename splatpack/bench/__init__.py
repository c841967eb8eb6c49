"""Figures: size, quality, speed and memory of splatpack and of its peers."""
