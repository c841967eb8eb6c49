"""One small good file of each format that is read: what hostile tests and the fuzzer damage."""

from __future__ import annotations

import struct
import zlib

from tests import synth
from tests.test_formats import (
    plyfiles,
    test_compressedply,
    test_ksplat,
    test_rad,
    test_sog,
    test_splatv,
    test_spz,
    test_stg,
)
from tests.test_formats.closeness import encode

SAMPLES: dict[str, bytes] = {
    "a.ply": encode(synth.scene(4, 1), ".ply")[0],
    "a.splat": encode(synth.scene(4, 0), ".splat")[0],
    "v1.spz": test_spz.legacy(1, (bytes(12), *test_spz.STREAMS[1:4], bytes(6), test_spz.SH)),
    "v2.spz": test_spz.legacy(2, (*test_spz.STREAMS[:4], bytes(6), test_spz.SH)),
    "v3.spz": test_spz.legacy(flags=2, extra=test_spz.record(0xADBE0003, struct.pack("<I", 1))),
    "v4.spz": test_spz.v4(flags=2, extra=test_spz.record(0xADBE0002, bytes(12))),
    "old.compressed.ply": test_compressedply.build([test_compressedply.VERTEX], bounds=test_compressedply.BOUNDS[:12]),
    "a.compressed.ply": test_compressedply.build([test_compressedply.VERTEX] * 3, sh=bytes(range(27))),
    "stg.ply": plyfiles.ply({k: v[:3] for k, v in test_stg.columns().items()}),
    "a.splatv": test_splatv.build(test_splatv.STILL + test_splatv.MOTION[:-4] + struct.pack("<2e", 0.0, 1.0)),
    "a.glb": encode(synth.scene(4, 1), ".glb")[0],
    "spz.glb": encode(synth.scene(4, 1), ".glb", version=3)[0],
    "a.rad": test_rad.GOOD,
    "a.sog": test_sog.zipped(test_sog.hand_built(2)),
    **{f"{level}.ksplat": test_ksplat.build(test_ksplat.small(1), level, 1) for level in (0, 1, 2)},
}


def repacked(name: str, raw: bytes) -> bytes:
    """Put damaged content back into its gzip, so that it is looked at; other formats are what they are."""
    if not is_gzip(name):
        return raw
    deflate = zlib.compressobj(1, zlib.DEFLATED, 31)
    return deflate.compress(raw) + deflate.flush()


def content(name: str) -> bytes:
    """The bytes of a sample without its gzip."""
    return zlib.decompress(SAMPLES[name], 31) if is_gzip(name) else SAMPLES[name]


def is_gzip(name: str) -> bool:
    return SAMPLES[name].startswith(b"\x1f\x8b")
