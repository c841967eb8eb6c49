"""Zstandard frames of foreign files: the one place of this folder that names the library."""

from __future__ import annotations

import zstandard

from splatpack.errors import CorruptError


def compress(data: bytes | memoryview, level: int) -> bytes:
    """Return one frame that declares its content size."""
    return zstandard.ZstdCompressor(level=level, write_content_size=True).compress(data)


def decompress(frame: bytes | memoryview, size: int, what: str) -> bytes:
    """Return the ``size`` bytes of exactly one frame. Safe on untrusted input.

    python-zstandard ignores ``max_output_size`` when a frame declares its size, so the declared size is held against
    the expected one before anything is allocated.

    Raises
    ------
    CorruptError
        Not exactly one frame, damaged, or of another size.
    """
    try:
        declared = zstandard.frame_content_size(frame)
        if declared not in (size, -1):
            raise CorruptError(f"{what}: a zstd frame of {declared:,} bytes, expected {size:,}.")
        data = zstandard.ZstdDecompressor().decompress(
            frame, max_output_size=max(size, 1), read_across_frames=False, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise CorruptError(f"{what}: {error}.") from error
    if len(data) != size:
        raise CorruptError(f"{what}: a zstd frame of {len(data):,} bytes, expected {size:,}.")
    return data
