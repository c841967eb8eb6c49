"""What ``python -m tests.interop.measure`` measured: speed and size of each format that is written."""

from __future__ import annotations

CONDITIONS = (
    "A synthetic scene of 100,000 Gaussians of SH degree 3 (`tests/synth.py`), files in the page cache. Seconds are of "
    "CPU, all threads together, the median of five runs (one where a run takes more than five seconds), on a machine "
    "that was busy with other work. SH palettes have 1,024 entries here; by default they have up to 65,536, and "
    "fitting one takes much longer."
)

FIGURES: dict[str, tuple[float, float, float]] = {
    "ply": (3.1, 2.3, 248),
    "compressed-ply": (1.54, 0.987, 61.3),
    "splat": (7.4, 1.54, 32),
    "spz": (4.33, 0.175, 26.99),
    "png-compression": (1.18, 0.0185, 15.21),
    "sog": (2.22, 0.0183, 14.5),
    "sog-folder": (1.65, 0.0191, 14.49),
    "lod-meta": (1.71, 0.0213, 14.55),
    "gltf": (2, 1.28, 240),
    "splatv": (1.57, 3.12, 64.23),
}
"""By name: millions of Gaussians read, and written, per second of CPU; bytes of a Gaussian."""
