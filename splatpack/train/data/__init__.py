"""Posed photos from disk: readers of their formats, lenses, pictures, and the data set that a trainer sees."""
