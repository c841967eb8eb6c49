"""Contexts of the splat codec: the first of each plane (``spec/codecs/splat.md``, sections 3 and 5)."""

from __future__ import annotations

BLOCK, CLASS, DELTA, SCALE0, SCALE1, SCALE2, OPACITY, ROTATION, LUMA, CHROMA1, CHROMA2 = (
    0, 1, 9, 10, 18, 26, 90, 98, 170, 178, 210,
)  # fmt: skip
MASK, BANDS = 0, 8
"""In the SH section: the mask, then 96 contexts for each band, 48 of luma and 48 of chroma."""
