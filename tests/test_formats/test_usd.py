"""USD: what we write is read, and what usd-core makes from text; skipped where usd-core is not installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from splatpack.errors import CorruptError, InvalidSceneError, LimitError, SplatpackError, StorageError, UnsupportedError
from splatpack.formats import usd, usdworker
from splatpack.formats.detect import detect
from splatpack.formats.registry import read_scene
from splatpack.limits import Limits
from splatpack.scene.gaussians import Gaussians
from splatpack.scene.transform import change_frame, transform
from tests import synth
from tests.test_formats.closeness import assert_close, decode, encode

STRETCHED = 'float3 xformOp:scale = (1, 2, 1)\nuniform token[] xformOpOrder = ["xformOp:scale"]'
EXACT = {"scales": 1e-6, "covariances": 3e-6, "alphas": 2e-7}
needs_usd = pytest.mark.skipif(importlib.util.find_spec("pxr") is None, reason="usd-core is not installed")


def text_of(scene: Gaussians, *, up: str = "Y", body: str = "", head: str = "", half: str = "") -> str:
    """A stage spelled out: numbers as the schema defines them; ``half`` names the attribute to write as its twin."""

    def rows(array: Any) -> str:
        return ", ".join(f"({', '.join(repr(float(v)) for v in row)})" for row in array)

    sh = np.concatenate([scene.sh0, scene.shN], axis=1).reshape(-1, 3)
    alphas = ", ".join(repr(float(v)) for v in 1 / (1 + np.exp(-scene.opacities)))
    attributes = {
        "point3f[] positions": rows(scene.means), "quatf[] orientations": rows(scene.quats),
        "float3[] scales": rows(np.exp(scene.scales)), "float[] opacities": alphas,
        "float3[] radiance:sphericalHarmonicsCoefficients": rows(sh),
    }  # fmt: skip
    lines = []
    for name, value in attributes.items():
        kind, key = name.split()
        if key == half:
            kind, key = {"point3f[]": "point3h[]", "quatf[]": "quath[]", "float3[]": "half3[]"}[kind], key + "h"
        lines.append(f"{kind} {key} = [{value}]")
    lines.append(f"int radiance:sphericalHarmonicsDegree = {scene.sh_degree}")
    inner = "\n".join(lines)
    return f"""#usda 1.0
(
    upAxis = "{up}"
    {head}
)
def Xform "a" {{
    {body}
    def ParticleField3DGaussianSplat "b" {{
        {inner}
    }}
}}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "a.usda"
    path.write_text(text)
    return path


@needs_usd
@pytest.mark.parametrize("extension", [".usdc", ".usd", ".usdz"])
@pytest.mark.parametrize("degree", [0, 3])
def test_round_trip(tmp_path: Path, extension: str, degree: int) -> None:
    scene = synth.scene(200, degree, seed=5)
    data, said = encode(scene, extension)
    back = decode(tmp_path, data, extension)
    assert said == []
    assert detect(tmp_path / f"scene{extension}") == "usd"
    assert (back.frame, back.sh_degree) == ("rub", degree)
    assert "gsplat2USD" in back.metadata["source"]["notes"][0]
    assert_close(scene, change_frame(back, "rdf"), **EXACT)


@needs_usd
def test_z_up(tmp_path: Path) -> None:
    scene = synth.scene(50, 2)
    back = decode(tmp_path, encode(scene, ".usdc", frame="z_up")[0], ".usdc")
    assert back.frame == "z_up"
    assert_close(scene, change_frame(back, "rdf"), **EXACT | {"means": 2e-6, "covariances": 1e-5, "shN": 2e-6})
    assert (decode(tmp_path, encode(scene, ".usdc", frame="rdf")[0], ".usdc", frame="rdf").means == scene.means).all()


@needs_usd
def test_spelled_out_and_moved(tmp_path: Path) -> None:
    scene = change_frame(synth.scene(9, 2), "rub")
    assert_close(scene, read_scene(write(tmp_path, text_of(scene))), **EXACT)
    body = """double3 xformOp:translate = (1, 2, 3)
    float3 xformOp:rotateXYZ = (0, 0, 90)
    float3 xformOp:scale = (2, 2, 2)
    uniform token[] xformOpOrder = ["xformOp:translate", "xformOp:rotateXYZ", "xformOp:scale"]"""
    turn = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    want = transform(scene, rotation=turn, scale=2, translation=[1, 2, 3])
    back = read_scene(write(tmp_path, text_of(scene, body=body, up="Z")))
    assert back.frame == "z_up"
    assert_close(want, back, **EXACT | {"means": 1e-5, "covariances": 1e-5, "shN": 2e-6})


@needs_usd
def test_twins_of_half_floats(tmp_path: Path) -> None:
    scene = change_frame(synth.scene(9, 1), "rub")
    for name in ("positions", "orientations", "scales", "radiance:sphericalHarmonicsCoefficients"):
        back = read_scene(write(tmp_path, text_of(scene, half=name)))
        assert_close(scene, back, means=6e-3, scales=2e-3, covariances=5e-3, alphas=2e-7, sh0=2e-3, shN=1e-3)


@needs_usd
def test_attributes_that_are_too_short_or_too_long(tmp_path: Path) -> None:
    scene = change_frame(synth.scene(9, 1), "rub")
    text = text_of(scene)
    lines = text.splitlines()
    at = {
        name: next(i for i, line in enumerate(lines) if name in line) for name in ("orient", "scales", "opac", "Coeff")
    }
    for name, i in at.items():
        short = lines.copy()
        short[i] = short[i].split("= ")[0] + ("= [0.5]" if name == "opac" else "= [(1, 0, 0, 0)]" if name == "orient"
                                              else "= [(1, 1, 1)]")  # fmt: skip
        back = read_scene(write(tmp_path, "\n".join(short)))
        assert len(back) == 9
        values = {"orient": back.quats[:, 0], "scales": np.exp(back.scales), "opac": 1 / (1 + np.exp(-back.opacities)),
                  "Coeff": back.sh0 + 1}[name]  # fmt: skip
        assert values == pytest.approx(1.0, abs=1e-6)
    assert back.sh_degree == 0
    longer = lines.copy()
    longer[at["scales"]] = longer[at["scales"]].replace("[(", "[(", 1).rstrip("]") + ", (1, 1, 1)]"
    assert_close(scene, read_scene(write(tmp_path, "\n".join(longer))), **EXACT)


@needs_usd
@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("#usda 1.0\n(", CorruptError, "usd-core does not read it"),
        ('#usda 1.0\ndef Mesh "m" {}\n', UnsupportedError, "no ParticleField3DGaussianSplat"),
        ('#usda 1.0\ndef ParticleField3DGaussianSplat "m" {}\n', CorruptError, "no positions"),
        (text_of(synth.scene(2, 0), head="subLayers = [@/etc/passwd@]"), UnsupportedError, "refers to /etc/passwd"),
        ('#usda 1.0\ndef "a" (references = @../x.usda@) {}\n', UnsupportedError, "refers to ../x.usda"),
        ('#usda 1.0\ndef "a" (payload = @http://h/x.usd@) {}\n', UnsupportedError, "refers to http://h/x.usd"),
        (
            text_of(synth.scene(2, 0), body=STRETCHED),
            UnsupportedError, "scales axes differently",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, text: str, error: type[SplatpackError], message: str) -> None:
    with pytest.raises(error, match=message):
        read_scene(write(tmp_path, text))


@needs_usd
def test_damaged_crates(tmp_path: Path) -> None:
    """A few: each costs a process."""
    data = encode(synth.scene(3, 0), ".usdc")[0]
    path = tmp_path / "a.usdc"
    for end in (9, 90, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:end])
        with pytest.raises(SplatpackError):
            read_scene(path)


@needs_usd
def test_limits(tmp_path: Path) -> None:
    path = write(tmp_path, text_of(synth.scene(20, 1)))
    with pytest.raises(LimitError, match="USD file"):
        read_scene(path, limits=Limits(memory=100))
    with pytest.raises(LimitError, match="of 20 Gaussians"):
        read_scene(path, limits=Limits(memory=path.stat().st_size + 2 * 20 * 92 - 1))
    with pytest.raises(LimitError, match="20 declared"):
        read_scene(path, limits=Limits(gaussians=19))


@needs_usd
def test_what_cannot_be_written() -> None:
    scene = synth.scene(9, 0)
    with pytest.raises(UnsupportedError, match="0 Gaussians"):
        encode(synth.scene(0), ".usdc")
    scene.means[0] = np.nan
    with pytest.raises(InvalidSceneError):
        encode(scene, ".usdz")


def test_without_usd_core_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    path = write(tmp_path, "#usda 1.0\n")
    assert detect(path) == "usd"
    with pytest.raises(UnsupportedError, match=r"pip install 'splatpack\[usd\]'"):
        read_scene(path)
    with pytest.raises(UnsupportedError, match=r"pip install 'splatpack\[usd\]'"):
        encode(synth.scene(3, 0), ".usdz")


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        ("import os; os.kill(os.getpid(), 11)", CorruptError, "exit status -11"),
        ("raise MemoryError", LimitError, "more memory"),
        ("import time; time.sleep(60)", LimitError, "not read within 1"),
        ("import sys; sys.exit('no')", CorruptError, "exit status 1: no"),
    ],
)
def test_a_reader_that_dies_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, error: type[SplatpackError], message: str
) -> None:
    """A crash, a lack of memory, and a hang, of a stand-in for the reader, are told apart."""
    (tmp_path / "stand_in.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(usdworker, "__name__", "stand_in")
    monkeypatch.setattr(usd, "TIMEOUT", 1 if "sleep" in code else 60)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    with pytest.raises(error, match=message):
        read_scene(write(tmp_path, "#usda 1.0\n"))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        read_scene(tmp_path / "none.usdc")
