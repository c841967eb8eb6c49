"""ksplat files put together here from the definition, at every level and degree."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from splatpack.errors import CorruptError, LimitError, SplatpackError, TruncatedError, UnsupportedError
from splatpack.formats.ksplat import read_ksplat
from splatpack.limits import Limits
from splatpack.scene.gaussians import C0, Gaussians
from tests import synth
from tests.test_formats.closeness import assert_close, decode

BANDS = {0: (), 1: (3,), 2: (3, 5), 3: (3, 5, 7)}
BLOCK, SPAN = 5.0, 32767


def main_header(sections: int, count: int, level: int, low: float = 0.0, high: float = 0.0, minor: int = 1) -> bytes:
    head = struct.pack("<BBxxIIIIHxx", 0, minor, sections, sections, count, count, level)
    return (head + struct.pack("<3f2f", 0, 0, 0, low, high)).ljust(4096, b"\0")


def section_header(count: int, degree: int, **fields: float) -> bytes:
    f = {"most": count, "size": 256, "buckets": 0, "block": BLOCK, "centre": 12, "span": 0, "full": 0, "partial": 0}
    f |= fields
    head = struct.pack("<IIIIfH", count, f["most"], f["size"], f["buckets"], f["block"], f["centre"])
    head += struct.pack("<xxIIIIH", f["span"], 0, f["full"], f["partial"], degree)
    return head.ljust(1024, b"\0")


def sh_values(scene: Gaussians, degree: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Channel-major inside each band."""
    parts, at = [np.empty((len(scene), 0), np.float32)], 0
    for width in BANDS[degree]:
        parts += [scene.shN[:, at : at + width, c] for c in range(3)]
        at += width
    return np.concatenate(parts, axis=1)


def rows(scene: Gaussians, level: int, degree: int, positions: bytes, low: float = -1.5, high: float = 1.5) -> bytes:
    """Rows by the definition, one Gaussian at a time."""
    alpha = 1 / (1 + np.exp(-scene.opacities.astype(np.float64)))
    rgba = np.concatenate([0.5 + C0 * scene.sh0[:, 0], alpha[:, None]], axis=1)
    colour = np.floor(rgba.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    code, sh = "f" if level == 0 else "e", sh_values(scene, degree)
    size = len(positions) // max(len(scene), 1)
    out = b""
    for i in range(len(scene)):
        out += positions[size * i : size * (i + 1)]
        out += struct.pack(f"<7{code}", *np.exp(scene.scales[i]), *scene.quats[i]) + colour[i].tobytes()
        if level == 2:
            out += bytes(int(np.floor((v - low) / (high - low) * 255 + 0.5)) for v in sh[i].clip(low, high))
        else:
            out += struct.pack(f"<{sh.shape[1]}{code}", *sh[i])
    return out


def build(scene: Gaussians, level: int, degree: int, room: int = 0, low: float = 0.0, high: float = 0.0) -> bytes:
    """One section, with buckets of 4 at level 1 and 2: as many full ones as there are, then one of the rest."""
    n = len(scene)
    if level == 0:
        head, front, positions = section_header(n, degree, most=n + room), b"", scene.means.astype("<f4").tobytes()
    else:
        full, rest = divmod(n, 4)
        parts = [scene.means[4 * i : 4 * i + 4] for i in range(full)] + ([scene.means[4 * full :]] if rest else [])
        centres = np.array([(p.min(axis=0) + p.max(axis=0)) / 2 for p in parts], "<f4").reshape(-1, 3)
        offset = scene.means - np.repeat(centres, [len(p) for p in parts], axis=0)
        stored = np.floor(offset / (BLOCK / 2) * SPAN + SPAN + 0.5).clip(0, 65535).astype("<u2")
        head = section_header(n, degree, most=n + room, size=4, buckets=len(parts), full=full, partial=1 if rest else 0)
        front = (struct.pack("<I", rest) if rest else b"") + centres.tobytes()
        positions = stored.tobytes()
    data = front + rows(scene, level, degree, positions, low or -1.5, high or 1.5)
    width = (len(data) - len(front)) // max(n, 1)
    return main_header(1, n, level, low, high) + head + data + bytes(room * width)


def small(degree: int, n: int = 10) -> Gaussians:
    scene = synth.scene(n, degree, seed=degree, extent=0.2)
    return Gaussians(
        scene.means, scene.scales, scene.quats, scene.opacities, scene.sh0.clip(-1.7, 1.7), scene.shN.clip(-1.4, 1.4)
    )


@pytest.mark.parametrize("room", [0, 3])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
@pytest.mark.parametrize("level", [0, 1, 2])
def test_every_level_and_degree(tmp_path: Path, level: int, degree: int, room: int) -> None:
    scene = small(degree)
    back = decode(tmp_path, build(scene, level, degree, room), ".ksplat")
    assert back.sh_degree == degree
    assert back.frame == "rdf"
    assert back.metadata["source"] == {"format": "ksplat", "level": level}
    fine = {"scales": 1e-6, "covariances": 1e-5, "alphas": 0.00197, "sh0": 0.00697, "shN": 0.0}
    half = {"means": 4e-5, "scales": 2e-3, "covariances": 0.005, "shN": 5e-4}
    assert_close(scene, back, **[fine, fine | half, fine | half | {"shN": 0.0059}][level])


def test_sh_range_of_level_2(tmp_path: Path) -> None:
    scene = small(2)
    back = decode(tmp_path, build(scene, 2, 2, low=-2.0, high=3.0), ".ksplat")
    assert np.abs(scene.shN - back.shN).max() <= 0.0099


def test_sections_of_different_degrees(tmp_path: Path) -> None:
    flat, round_ = small(0, 5), small(2, 7)
    parts = [build(flat, 0, 0), build(round_, 0, 2), build(small(1, 0), 0, 1)]
    head = main_header(3, 12, 0) + b"".join(p[4096:5120] for p in parts)
    scene = decode(tmp_path, head + b"".join(p[5120:] for p in parts), ".ksplat")
    assert scene.sh_degree == 2
    assert np.array_equal(scene.means, np.concatenate([flat.means, round_.means]))
    assert not scene.shN[:5].any()
    assert np.array_equal(scene.shN[5:], round_.shN)


def test_quats_are_made_unit_length_on_demand(tmp_path: Path) -> None:
    scene = small(0)
    scene.quats[:] *= 2
    data = build(scene, 0, 0)
    assert np.array_equal(decode(tmp_path, data, ".ksplat", normalise=False).quats, scene.quats)
    assert decode(tmp_path, data, ".ksplat").quats == pytest.approx(scene.quats / 2)


def test_more_than_one_block(tmp_path: Path) -> None:
    scene = small(1, 9001)
    assert np.array_equal(decode(tmp_path, build(scene, 0, 1), ".ksplat").means, scene.means)


GOOD = build(small(1), 1, 1)
COUNTS = {"most": 10, "size": 4, "buckets": 3, "full": 2, "partial": 1}


def patched(**fields: float) -> bytes:
    """GOOD with another section header."""
    return (
        GOOD[:4096]
        + section_header(int(fields.pop("count", 10)), int(fields.pop("degree", 1)), **(COUNTS | fields))
        + GOOD[5120:]
    )


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (GOOD[:4095], TruncatedError, "4,095 bytes, expected a header"),
        (main_header(1, 10, 1, minor=2) + GOOD[4096:], UnsupportedError, r"version 0\.2"),
        (main_header(1, 10, 3) + GOOD[4096:], UnsupportedError, "compression level 3"),
        (main_header(1 << 31, 10, 1) + GOOD[4096:], TruncatedError, "2,147,483,648 section headers"),
        (main_header(1, 11, 1) + GOOD[4096:], CorruptError, "10 splats in the sections, 11 in the header"),
        (main_header(1, 10, 1, np.nan, 1) + GOOD[4096:], CorruptError, "SH from nan"),
        (main_header(1, 10, 1, 2, 1) + GOOD[4096:], CorruptError, "SH from 2.0 to 1.0"),
        (GOOD[:-1], TruncatedError, "section 0: ends at"),
        (GOOD + b"\0", CorruptError, "1 bytes after the last section"),
        (patched(most=9), CorruptError, "10 splats, storage for 9"),
        (patched(most=1 << 31), TruncatedError, "section 0: ends at"),
        (patched(degree=4), CorruptError, "SH degree 4"),
        (patched(centre=16), CorruptError, "16 bytes a bucket, expected 12"),
        (patched(span=32768), CorruptError, "range 32768"),
        (patched(block=-1.0), CorruptError, "block size -1"),
        (patched(block=float("nan")), CorruptError, "block size nan"),
        (patched(full=3), CorruptError, r"3 \+ 1 buckets filled of 3"),
        (patched(size=6), CorruptError, r"2 \+ 1 buckets filled of 3"),
        (patched(size=3), CorruptError, "partly filled buckets hold 2 splats, expected 4"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, data: bytes, error: type[SplatpackError], message: str) -> None:
    path = tmp_path / "a.ksplat"
    path.write_bytes(data)
    with pytest.raises(error, match=message):
        read_ksplat(path)


def test_limits(tmp_path: Path) -> None:
    path = tmp_path / "a.ksplat"
    path.write_bytes(GOOD)
    with pytest.raises(LimitError, match="10 declared, expected at most 9"):
        read_ksplat(path, limits=Limits(gaussians=9))
    with pytest.raises(LimitError, match=r"\.ksplat scene of 10 Gaussians"):
        read_ksplat(path, limits=Limits(memory=919))
