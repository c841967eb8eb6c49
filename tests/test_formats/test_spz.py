"""SPZ against files put together here from the definition, and against its own tolerances."""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zstandard

from splatpack.errors import CorruptError, LimitError, SplatpackError, TruncatedError, UnsupportedError, UsageError
from splatpack.formats.spz import read_spz
from splatpack.limits import Limits
from splatpack.scene.gaussians import Gaussians
from splatpack.scene.transform import change_frame, flip
from tests import synth
from tests.test_formats.closeness import assert_close, decode, encode

# Two Gaussians at SH degree 1, each stream spelled out. Fixed point with 12 fractional bits: 1.0 is 4096 = 0x001000,
# -0.5 is -2048 = 0xfff800; little-endian.
POSITIONS = bytes.fromhex("001000 00f8ff 000000ffff7f 000080 010000")
ALPHAS = bytes([51, 255])
COLOURS = bytes([0, 255, 51, 102, 153, 204])
SCALES = bytes([0, 160, 255, 16, 80, 96])
# xyzw: index of the largest in bits 31..30, then sign and 9 bits of size for each of the others, high to low.
ROTATIONS = struct.pack("<II", 3 << 30 | 511 << 20, 0 << 30 | (512 | 511) << 0)
SH = bytes(range(0, 90, 10)) + bytes([128] * 8 + [255])
STREAMS = (POSITIONS, ALPHAS, COLOURS, SCALES, ROTATIONS, SH)


def legacy(version: int = 3, streams: tuple[bytes, ...] = STREAMS, extra: bytes = b"", **fields: int) -> bytes:
    return gzip.compress(header(version, **fields) + b"".join(streams) + extra, mtime=0)


def header(version: int, count: int = 2, degree: int = 1, fraction: int = 12, flags: int = 0, last: int = 0) -> bytes:
    return b"NGSP" + struct.pack("<IIBBBB", version, count, degree, fraction, flags, last)


def v4(streams: tuple[bytes, ...] = STREAMS, extra: bytes = b"", toc: int | None = None, **fields: int) -> bytes:
    full = [s for s in streams if s]
    frames = [zstandard.ZstdCompressor(level=1).compress(s) for s in full]
    table = b"".join(struct.pack("<QQ", len(f), len(s)) for f, s in zip(frames, full, strict=True))
    head = header(4, **{"last": len(full), **fields}) + struct.pack("<I", 32 + len(extra) if toc is None else toc)
    return head.ljust(32, b"\0") + extra + table + b"".join(frames)


def check(scene: Gaussians) -> None:
    """What the spelled-out streams mean."""
    assert scene.means.tolist() == [[1.0, -0.5, 0.0], [8388607 / 4096, -2048.0, 1 / 4096]]
    assert scene.opacities == pytest.approx([np.log(0.2 / 0.8), 13.8155], abs=1e-3)
    assert scene.sh0[0, 0] == pytest.approx([-0.5 / 0.15, 0.5 / 0.15, -0.3 / 0.15], abs=1e-5)
    assert scene.sh0[1, 0] == pytest.approx([-0.1 / 0.15, 0.1 / 0.15, 0.3 / 0.15], abs=1e-5)
    assert scene.scales.tolist() == [[-10.0, 0.0, 5.9375], [-9.0, -5.0, -4.0]]
    half = 0.5**0.5
    assert scene.quats == pytest.approx(np.array([[half, half, 0, 0], [-half, half, 0, 0]]), abs=1e-4)
    assert scene.shN[0].ravel() == pytest.approx((np.arange(0, 90, 10) - 128) / 128)
    assert scene.shN[1].ravel() == pytest.approx([0] * 8 + [127 / 128])
    assert scene.frame == "rub"
    assert not scene.antialiased


def test_version_3_spelled_by_hand(tmp_path: Path) -> None:
    scene = decode(tmp_path, legacy(), ".spz")
    check(scene)
    assert scene.metadata == {"source": {"format": "spz", "version": 3}}


def test_version_4_spelled_by_hand(tmp_path: Path) -> None:
    check(decode(tmp_path, v4(), ".spz"))
    flat = decode(tmp_path, v4((*STREAMS[:5], b""), degree=0, flags=1), ".spz")
    assert flat.sh_degree == 0
    assert flat.antialiased


def test_version_2_rotations(tmp_path: Path) -> None:
    three = bytes([255, 128, 128, 0, 128, 128])
    scene = decode(tmp_path, legacy(2, (*STREAMS[:4], three, SH)), ".spz")
    assert scene.quats[0, 1:] == pytest.approx([1, 1 / 255, 1 / 255], abs=1e-4)
    assert scene.quats[:, 0] == pytest.approx([0, 0], abs=1e-6)


def test_version_1_by_its_length(tmp_path: Path) -> None:
    three = bytes(6)
    halves = np.array([[1, -0.5, 0], [100.25, -7, 0.125]], "<f2")
    scene = decode(tmp_path, legacy(1, (halves.tobytes(), *STREAMS[1:4], three, SH)), ".spz")
    assert np.array_equal(scene.means, halves.astype(np.float32))
    fixed = decode(tmp_path, legacy(1, (*STREAMS[:4], three, SH)), ".spz")
    assert fixed.means[0].tolist() == [1.0, -0.5, 0.0]
    with pytest.raises(TruncatedError, match="version 1: 55 bytes for 2 Gaussians, expected 50 or 56"):
        decode(tmp_path, legacy(1, (*STREAMS[:4], three, SH[1:])), ".spz")


def test_degree_4_loses_its_last_band(tmp_path: Path) -> None:
    sh = bytes(range(2 * 72))
    scene = decode(tmp_path, legacy(streams=(*STREAMS[:5], sh), degree=4), ".spz")
    assert scene.sh_degree == 3
    assert (scene.shN[1].ravel() * 128 + 128).tolist() == list(range(72, 72 + 45))
    assert scene.metadata["source"]["notes"] == ["SH band 4 left out: 0 to 3 are kept."]


def record(kind: int, payload: bytes) -> bytes:
    return struct.pack("<II", kind, len(payload)) + payload


@pytest.mark.parametrize("build", [lambda extra: legacy(flags=2, extra=extra), lambda extra: v4(flags=2, extra=extra)])
def test_extensions(tmp_path: Path, build: object) -> None:
    orbit = record(0xADBE0002, struct.pack("<3f", -1, 1, 0.5))
    unknown = record(0x12345678, b"abc")
    scene = decode(tmp_path, build(orbit + unknown), ".spz")  # type: ignore[operator]
    check(scene)
    source = scene.metadata["source"]
    assert source["safe_orbit"] == [-1.0, 1.0, 0.5]
    assert source["notes"] == ["extension 0x12345678 of 3 bytes ignored."]
    for damaged in (orbit[:-1], orbit[:7], b"\0" * 7):
        with pytest.raises(CorruptError, match="SPZ extension"):
            decode(tmp_path, build(damaged), ".spz")  # type: ignore[operator]


@pytest.mark.parametrize("code", range(1, 17))
def test_a_coordinate_record_names_the_frame(tmp_path: Path, code: int) -> None:
    """Directions of x, y, z by code: the same scene comes out whatever axes it was stored in."""
    names = ["LDB", "RDB", "LUB", "RUB", "LDF", "RDF", "LUF", "RUF"]
    names += ["LFD", "RFD", "LFU", "RFU", "LBD", "RBD", "LBU", "RBU"]
    directions = {"R": (1, 0, 0), "L": (-1, 0, 0), "D": (0, 1, 0), "U": (0, -1, 0), "F": (0, 0, 1), "B": (0, 0, -1)}
    to_rdf = np.array([directions[c] for c in names[code - 1]]).T
    scene = decode(tmp_path, legacy(flags=2, extra=record(0xADBE0003, struct.pack("<I", code))), ".spz")
    plain = decode(tmp_path, legacy(), ".spz")
    assert change_frame(scene, "rdf").means == pytest.approx(plain.means @ to_rdf.T, abs=1e-3)
    if code in (4, 6, 7, 12):
        assert np.array_equal(scene.means, plain.means)
        assert scene.frame == {4: "rub", 6: "rdf", 7: "luf", 12: "z_up"}[code]


def test_a_coordinate_record_that_says_nothing(tmp_path: Path) -> None:
    check(decode(tmp_path, legacy(flags=2, extra=record(0xADBE0003, struct.pack("<I", 0))), ".spz"))
    with pytest.raises(CorruptError, match="coordinate system 17"):
        decode(tmp_path, legacy(flags=2, extra=record(0xADBE0003, struct.pack("<I", 17))), ".spz")


TOLERANCES = {"means": 1.3e-4, "scales": 0.03126, "covariances": 0.08, "alphas": 0.00197, "sh0": 0.01308, "shN": 0.0665}


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_round_trip(tmp_path: Path, version: int, degree: int) -> None:
    scene = synth.scene(9000, degree, seed=degree)
    scene = replace(scene, shN=scene.shN.clip(-1, 1), scales=scene.scales.clip(-10, 5.9), antialiased=degree == 1)
    data, losses = encode(scene, ".spz", version=version)
    back = decode(tmp_path, data, ".spz")
    assert losses == []
    assert back.frame == "rub"
    assert back.antialiased == scene.antialiased
    assert_close(change_frame(scene, "rub"), back, **TOLERANCES)
    again, _ = encode(back, ".spz", version=version)
    assert_close(back, decode(tmp_path, again, ".spz"), means=0, covariances=0.004, alphas=0, sh0=1e-6)


def test_version_2_is_coarse_and_says_so(tmp_path: Path) -> None:
    scene = replace(synth.scene(500, 0), frame="rub")
    data, losses = encode(scene, ".spz", version=2)
    assert losses == ["SPZ version 2: rotations of 3 bytes, up to 10 degrees off; version 3 and 4 are within 0.2."]
    assert_close(scene, decode(tmp_path, data, ".spz"), **(TOLERANCES | {"covariances": 0.4}))


def test_the_gzip_member_is_one_that_others_read(tmp_path: Path) -> None:
    """More than one deflated part; a plain gzip reader must see one member with a right checksum."""
    scene = replace(synth.scene(20_000, 3), frame="rub")
    data, _ = encode(scene, ".spz", version=3)
    inflate = zlib.decompressobj(wbits=31)
    raw = inflate.decompress(data)
    assert inflate.eof
    assert inflate.unused_data == b""
    assert raw[:16] == header(3, 20_000, 3)
    assert len(raw) == 16 + 20_000 * 65


def test_the_same_scene_in_any_frame(tmp_path: Path) -> None:
    scene = synth.scene(300, 2)
    want, _ = encode(scene, ".spz")
    for frame in ("rub", "luf"):
        assert encode(change_frame(scene, frame), ".spz")[0] == want
    unturned, _ = encode(scene, ".spz", frame="rdf")
    back = decode(tmp_path, unturned, ".spz", frame="rdf")
    assert back.means == pytest.approx(scene.means, abs=2e-4)


@pytest.mark.parametrize(("reach", "bits"), [(2047.9, 12), (2049.0, 11), (5000.0, 10), (1e6, 3), (8e6, 0)])
def test_the_range_decides_the_fractional_bits(tmp_path: Path, reach: float, bits: int) -> None:
    scene = replace(synth.scene(50, 0), frame="rub")
    scene.means[3] = (reach, -reach, 0)
    data, losses = encode(scene, ".spz", version=3)
    assert gzip.decompress(data)[13] == bits
    back = decode(tmp_path, data, ".spz")
    assert np.abs(back.means - scene.means).max() <= 0.51 * 2.0**-bits + reach * 1e-7
    assert [s.split(":")[0][:16] for s in losses] == (["positions up to "] if bits < 12 else [])


def test_what_is_out_of_range_is_refused_with_its_count() -> None:
    scene = synth.scene(50, 0)
    scene.means[3, 1], scene.means[9, 0] = 9e6, -1e7
    with pytest.raises(UnsupportedError, match=r"2 of 50 Gaussians lie outside \+-8\.38861e\+06"):
        encode(scene, ".spz")


def test_what_is_clamped_is_counted(tmp_path: Path) -> None:
    scene = synth.scene(50, 1)
    scene = replace(scene, frame="rub", shN=scene.shN.clip(-1, 1))
    scene.sh0[:2] = 4.0
    scene.scales[:3, 1] = -11.0
    scene.shN[:4] = -1.5
    data, losses = encode(scene, ".spz")
    assert [s.split(" of ")[0] for s in losses] == ["2", "3", "4"]
    back = decode(tmp_path, data, ".spz")
    assert back.sh0[0].max() == pytest.approx(1 / 0.3)
    assert back.scales[0, 1] == -10.0
    assert back.shN[0].max() == -1.0


def test_sh_steps_of_the_reference(tmp_path: Path) -> None:
    """q = round(v * 128) + 128; q = (q + B / 2) / B * B; B is 8 for band 1 and 16 above; clamped to a byte."""
    scene = replace(synth.scene(2000, 3), frame="rub")
    data, _ = encode(scene, ".spz", version=3)
    stored = np.frombuffer(gzip.decompress(data), np.uint8)[-2000 * 45 :].reshape(2000, 15, 3)
    q = np.floor(scene.shN.astype(np.float64) * 128 + 0.5).astype(int) + 128
    step = np.repeat((8, 16), (3, 12))[None, :, None]
    assert np.array_equal(stored, ((q + step // 2) // step * step).clip(0, 255))


def test_mirrors_of_the_axes_cancel(tmp_path: Path) -> None:
    scene = synth.scene(100, 3)
    scene = replace(scene, frame="rub", shN=scene.shN.clip(-0.9, 0.9))
    data, _ = encode(flip(scene, (1, -1, -1)), ".spz")
    back = flip(decode(tmp_path, data, ".spz"), (1, -1, -1))
    assert_close(scene, back, **TOLERANCES)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (gzip.compress(b"NGSP" + bytes(5), mtime=0), TruncatedError, "header has 9 bytes"),
        (legacy(5), UnsupportedError, "version 5"),
        (legacy(0), UnsupportedError, "version 0"),
        (legacy(4), CorruptError, "version 4 inside gzip"),
        (header(3) + bytes(100), CorruptError, "version 3 that is not compressed"),
        (legacy(degree=5), CorruptError, "SH degree 5"),
        (legacy(fraction=25), CorruptError, "25 fractional bits"),
        (legacy(flags=0x80), UnsupportedError, "level-of-detail"),
        (legacy(count=3), TruncatedError, "positions|expected 27|colours|alphas|scales|rotations|SH"),
        (legacy(count=1), CorruptError, "extension|record"),
        (legacy(extra=b"\0" * 7), CorruptError, "7 bytes left"),
        (legacy() + b"\0", CorruptError, "1 bytes after the gzip member"),
        (legacy()[:-1], TruncatedError, "no end"),
        (legacy()[:-12], TruncatedError, "SPZ"),
        (legacy()[:-8] + bytes(8), CorruptError, "gzip"),
        (v4() + b"\0", TruncatedError, "streams end at"),
        (v4()[:-1], TruncatedError, "streams end at"),
        (v4()[:31], TruncatedError, "expected a header of 32"),
        (v4(toc=31), CorruptError, "table of contents at byte 31"),
        (v4(toc=1 << 31), CorruptError, "table of contents"),
        (v4(extra=b"\0" * 8), CorruptError, "8 bytes between"),
        (v4(STREAMS[:4]), CorruptError, "rotations: no such stream"),
        (v4((*STREAMS, b"abc")), CorruptError, "1 streams more"),
        (v4((*STREAMS[:5], SH[:-1])), CorruptError, "SH: 17 bytes declared, expected 18"),
        (v4(count=3), CorruptError, "positions: 18 bytes declared, expected 27"),
        (v4(degree=0), CorruptError, "1 streams more"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, data: bytes, error: type[SplatpackError], message: str) -> None:
    with pytest.raises(error, match=message):
        _read(tmp_path, data)


def _read(folder: Path, data: bytes, **settings: object) -> Gaussians:
    (folder / "a.spz").write_bytes(data)
    return read_spz(folder / "a.spz", **settings)  # type: ignore[arg-type]


def test_bombs_do_not_go_off(tmp_path: Path) -> None:
    """Nothing is inflated beyond what the header accounts for, and that is debited first."""
    endless = gzip.compress(header(3) + b"".join(STREAMS) + bytes(64 << 20))
    with pytest.raises(CorruptError, match=r"more than 1,048,576 bytes after the last stream"):
        _read(tmp_path, endless)
    many = gzip.compress(header(3, count=5_000_000) + bytes(64 << 20))
    with pytest.raises(LimitError, match="SPZ streams of 5,000,000 Gaussians"):
        _read(tmp_path, many, limits=Limits(memory=64 << 20))
    frame = zstandard.ZstdCompressor().compress(bytes(64 << 20))
    table = struct.pack("<QQ", len(frame), 18)
    lying = header(4, last=1) + struct.pack("<I", 32) + bytes(12) + table + frame
    with pytest.raises(CorruptError, match="67,108,864 bytes, expected 18"):
        _read(tmp_path, lying)
    with pytest.raises(LimitError, match="4,294,967,295 declared"):
        _read(tmp_path, v4(count=0xFFFFFFFF))


def test_what_is_not_written() -> None:
    with pytest.raises(UnsupportedError, match="0 Gaussians"):
        encode(synth.scene(0), ".spz")
    for version in (1, 5):
        with pytest.raises(UsageError, match=f"SPZ version {version}, expected 2, 3 or 4"):
            encode(synth.scene(1), ".spz", version=version)


def test_a_file_of_no_gaussians_is_read(tmp_path: Path) -> None:
    assert len(_read(tmp_path, gzip.compress(header(3, count=0, degree=0)))) == 0
    assert len(_read(tmp_path, v4((b"",) * 6, count=0))) == 0
