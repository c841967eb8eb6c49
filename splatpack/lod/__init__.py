"""Levels of detail: merged stand-ins of a scene, and the tree in which finer ones replace them."""
