"""Pictures out: rounding, PNG files, strips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from splatpack.errors import StorageError, UsageError
from splatpack.render.image import save_png, strip, to_uint8


def test_to_uint8_rounds_and_clips() -> None:
    values = np.array([-1.0, 0.0, 0.5 / 255 - 1e-6, 0.5 / 255 + 1e-6, 0.5, 1.0, 7.0, np.nan, np.inf], np.float32)
    assert to_uint8(values).tolist() == [0, 0, 0, 1, 128, 255, 255, 0, 255]
    levels = np.arange(256, dtype=np.uint8)
    assert (to_uint8(levels.astype(np.float32) / np.float32(255)) == levels).all()
    assert to_uint8(levels) is levels


@pytest.mark.parametrize("shape", [(5, 7, 3), (5, 7), (1, 1, 3)])
def test_png_round_trip(tmp_path: Path, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).random(shape).astype(np.float32)
    save_png(tmp_path / "a.png", pixels)
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG"
        assert (np.asarray(image) == to_uint8(pixels)).all()


def test_strip() -> None:
    a, b = np.zeros((4, 3, 3), np.uint8), np.full((2, 5, 3), 0.5, np.float32)
    out = strip([a, b], gap=2)
    assert out.shape == (4, 10, 3)
    assert not out[:, :3].any()
    assert (out[:, 3:5] == 255).all()
    assert (out[:2, 5:] == 128).all()
    assert (out[2:, 5:] == 255).all()
    assert (strip([a]) == a).all()


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no pictures"):
        strip([])
    with pytest.raises(UsageError, match="expected"):
        strip([np.zeros((2, 2), np.uint8)])
    with pytest.raises(UsageError, match="expected"):
        save_png(tmp_path / "a.png", np.zeros((2, 2, 4), np.uint8))
    with pytest.raises(UsageError, match="expected"):
        save_png(tmp_path / "a.png", np.zeros((0, 2, 3), np.uint8))
    with pytest.raises(StorageError, match="cannot write"):
        save_png(tmp_path / "no" / "a.png", np.zeros((2, 2, 3), np.uint8))
