"""Posed photos to a scene: data sets, and the trainer that makes Gaussians of them."""
