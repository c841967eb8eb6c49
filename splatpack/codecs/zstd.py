"""Zstandard as a compressor: the only place that names the library."""

from __future__ import annotations

import zstandard

from splatpack.codecs.base import Compressor
from splatpack.errors import CorruptError
from splatpack.limits import Limits


class Zstd(Compressor):
    """Bytes to one Zstandard frame (RFC 8878) that declares its content size.

    Parameters
    ----------
    level : int
        1 to 19; decoders do not need it.
    """

    id = "zstd"

    def __init__(self, level: int = 19) -> None:
        self.level = level

    def encode(self, data: bytes) -> bytes:
        """Return one frame."""
        return zstandard.ZstdCompressor(level=self.level, write_content_size=True).compress(data)

    def decode(self, data: bytes | memoryview, limits: Limits) -> bytes:
        """Return the content of one frame.

        python-zstandard ignores ``max_output_size`` when a frame declares its size, so the declared size is checked
        before anything is allocated.

        Raises
        ------
        CorruptError, LimitError
            Not exactly one frame with a declared size, damaged, or too large.
        """
        try:
            size = zstandard.frame_content_size(data)
            if size < 0:
                raise CorruptError("zstd: a frame that does not declare its size.")
            limits.debit(size, "zstd frame")
            return zstandard.ZstdDecompressor().decompress(
                data, max_output_size=max(size, 1), read_across_frames=False, allow_extra_data=False
            )
        except zstandard.ZstdError as error:
            raise CorruptError(f"zstd: {error}.") from error
