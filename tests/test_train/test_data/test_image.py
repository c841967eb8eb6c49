"""Photos by Pillow: every kind of pixels, orientation, masks, and files that lie."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from splatpack.errors import CorruptError, LimitError, StorageError, UnsupportedError
from splatpack.limits import Limits
from splatpack.train.data.image import decode, decode_mask, look
from splatpack.train.data.photo import FULL, Picture

from .samples import noise, save

LIMITS = Limits()
WHITE = (1.0, 1.0, 1.0)


def load(path: Path, background: tuple[float, float, float] = WHITE, turn: bool = False) -> Picture:
    return decode(path, look(path, LIMITS), background, turn=turn)


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp", "tif"])
def test_eight_bit_colours_are_exact(tmp_path: Path, suffix: str) -> None:
    pixels = noise(7, 5)
    path = save(tmp_path / f"a.{suffix}", pixels, **({"lossless": True} if suffix == "webp" else {}))
    picture = load(path)
    assert np.array_equal(picture.pixels, pixels.astype(int) * 257)
    assert picture.alpha is None


def test_jpeg(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", np.full((16, 24, 3), 100, np.uint8))
    header = look(path, LIMITS)
    assert (header.width, header.height, header.transparent) == (24, 16, False)
    assert np.abs(load(path).pixels / 257 - 100).max() <= 1


@pytest.mark.parametrize("mode", ["L", "1", "LA", "P", "CMYK", "RGBA"])
def test_other_modes_become_colours(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(noise(8, 6)).convert(mode)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    image.save(path)
    assert np.array_equal(load(path).pixels // 257, np.asarray(image.convert("RGB")))


def test_a_palette_with_a_transparent_colour(tmp_path: Path) -> None:
    image = Image.new("P", (4, 2))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 1), 1)
    image.save(tmp_path / "a.png", transparency=0)
    picture = load(tmp_path / "a.png", background=(0.0, 1.0, 0.0))
    assert list(picture.pixels[0, 0]) == [0, FULL, 0]
    assert list(picture.pixels[1, 1]) == [0, 0, FULL]
    assert picture.alpha is not None
    assert (picture.alpha[1, 1], picture.alpha[0, 0]) == (FULL, 0)


def test_sixteen_bit_grey_is_exact(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 65536, (5, 7)).astype(np.uint16)
    picture = load(save(tmp_path / "a.png", grey))
    assert np.array_equal(picture.pixels, np.repeat(grey[..., None], 3, axis=2))


def test_floating_point_is_no_photo(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", np.zeros((4, 4), np.float32))
    with pytest.raises(UnsupportedError, match="floating-point"):
        load(path)


def test_values_beyond_sixteen_bits_are_no_photo(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", np.full((4, 4), 1 << 20, np.int32))
    with pytest.raises(UnsupportedError, match="beyond 16 bits"):
        load(path)


def test_transparent_pixels_show_the_background(tmp_path: Path) -> None:
    pixels = noise(6, 5, 4)
    path = save(tmp_path / "a.png", pixels)
    for background in (WHITE, (0.0, 0.5, 1.0)):
        picture = load(path, background)
        alpha = pixels[..., 3:] / 255
        want = pixels[..., :3] / 255 * alpha + np.array(background) * (1 - alpha)
        assert np.abs(picture.pixels / FULL - want).max() < 2e-5
        assert picture.alpha is not None
        assert np.array_equal(picture.alpha, pixels[..., 3].astype(int) * 257)


def test_an_alpha_of_one_everywhere_is_none(tmp_path: Path) -> None:
    pixels = np.concatenate([noise(6, 5), np.full((5, 6, 1), 255, np.uint8)], axis=2)
    assert load(save(tmp_path / "a.png", pixels)).alpha is None


@pytest.mark.parametrize("value", range(2, 9))
def test_orientation(tmp_path: Path, value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    path = save(tmp_path / "a.png", noise(6, 4), exif=exif)
    header = look(path, LIMITS)
    assert header.orientation == value
    with Image.open(path) as image:
        from PIL import ImageOps

        want = np.asarray(ImageOps.exif_transpose(image))
    turned = load(path, turn=True).pixels
    assert np.array_equal(turned // 257, want)
    assert (header.turned().width, header.turned().height) == turned.shape[1::-1]
    assert load(path).pixels.shape == (4, 6, 3)


def test_masks_count_where_they_are_not_black(tmp_path: Path) -> None:
    mask = np.zeros((4, 6), np.uint8)
    mask[:, :3] = 255
    path = save(tmp_path / "m.png", mask)
    weight = decode_mask(path, look(path, LIMITS), (6, 4), turn=False)
    assert np.array_equal(weight, mask.astype(int) * 257)
    larger = decode_mask(path, look(path, LIMITS), (12, 8), turn=False)
    assert np.array_equal(larger, np.repeat(np.repeat(weight, 2, 0), 2, 1))
    see_through = np.zeros((4, 6, 4), np.uint8)
    see_through[..., 3] = mask
    path = save(tmp_path / "t.png", see_through)
    assert np.array_equal(decode_mask(path, look(path, LIMITS), (6, 4), turn=False), weight)


def test_every_prefix_of_a_photo_fails_cleanly(tmp_path: Path) -> None:
    for suffix in ("png", "jpg"):
        data = save(tmp_path / f"a.{suffix}", noise(9, 8)).read_bytes()
        cut = tmp_path / f"cut.{suffix}"
        for end in range(0, len(data) - 30, 7):
            cut.write_bytes(data[:end])
            with pytest.raises(CorruptError, match="no readable picture"):
                load(cut)


def test_a_photo_of_another_size_than_its_header_said(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", noise(9, 8))
    header = look(path, LIMITS)
    save(path, noise(8, 9))
    with pytest.raises(CorruptError, match="changed"):
        decode(path, header, WHITE, turn=False)


def _png(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(10_000, 8_000), (10_000, 10_000), (2_000_000, 2_000_000)])
def test_bombs_are_refused_before_they_are_decoded(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(_png(*size))
    with pytest.raises(LimitError):
        look(path, LIMITS)


def test_no_other_format_is_opened(tmp_path: Path) -> None:
    for name, data in {"a.png": b"", "b.png": b"GIF89a" + bytes(20), "c.png": b"%!PS-Adobe-3.0 EPSF-3.0\n"}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(CorruptError, match="no readable picture"):
            look(tmp_path / name, LIMITS)
    with pytest.raises(StorageError):
        look(tmp_path / "none.png", LIMITS)


def test_hostile_exif_is_ignored_or_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(noise(8, 8)).save(buffer, "JPEG", exif=exif)
    data: Any = np.frombuffer(buffer.getvalue(), np.uint8)
    for _ in range(60):
        bad = data.copy()
        bad[rng.integers(20, 60, 4)] = rng.integers(0, 256, 4)
        path = tmp_path / "a.jpg"
        path.write_bytes(bad.tobytes())
        try:
            load(path, turn=True)
        except (CorruptError, LimitError):
            continue
