"""The library and the independent decoder agree on every vector, and on files that the vectors do not hold."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from splatpack.container.reader import ContainerReader
from splatpack.container.source import MemorySource
from splatpack.errors import CorruptError, UnsupportedError
from splatpack.pack.decode import decode
from splatpack.pack.encode import encode
from splatpack.pack.presets import settings
from splatpack.pack.verify import verify
from splatpack.scene.gaussians import ATTRIBUTES
from tests import synth

SPEC = Path(__file__).resolve().parents[2] / "spec"
MANIFEST: list[dict[str, str]] = json.loads((SPEC / "vectors" / "manifest.json").read_text())


def _decoder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("spk_decoder", SPEC / "decoder.py")
    if spec is None or spec.loader is None:
        raise ImportError("spec/decoder.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


DECODER = _decoder()


def _library(data: bytes) -> Any:
    """Verify and decode with the library; raise the first problem."""
    reader = ContainerReader(MemorySource(data))
    report = verify(reader)
    if report.errors:
        raise report.errors[0]
    return decode(reader)


def _bytes(entry: dict[str, str]) -> bytes:
    return (SPEC / "vectors" / entry["file"]).read_bytes()


def _ids(entry: dict[str, str]) -> str:
    return entry["file"]


def _those(expect: str) -> list[dict[str, str]]:
    return [e for e in MANIFEST if e["expect"] == expect]


def test_there_are_enough_vectors_and_none_is_stale() -> None:
    assert len(_those("ok")) >= 15
    assert len(_those("corrupt")) >= 30
    assert len(_those("unsupported")) >= 4
    listed = {e["file"] for e in MANIFEST}
    there = {f"{p.parent.name}/{p.name}" for p in (SPEC / "vectors").glob("*/*.spk")}
    assert listed == there


@pytest.mark.parametrize("entry", MANIFEST, ids=_ids)
def test_hashes(entry: dict[str, str]) -> None:
    assert hashlib.sha256(_bytes(entry)).hexdigest() == entry["sha256"]


def _close(got: Any, want: Any) -> None:
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    if want.dtype.kind == "f":
        np.testing.assert_allclose(got, want, rtol=5e-7, atol=1e-9)
    else:
        assert (got == want).all()


@pytest.mark.parametrize("entry", _those("ok"), ids=_ids)
def test_good(entry: dict[str, str]) -> None:
    data = _bytes(entry)
    expected = np.load(SPEC / "vectors" / entry["file"].replace(".spk", ".npz"), allow_pickle=False)
    scene = _library(data)
    other = DECODER.decode(data)
    for name in ATTRIBUTES:
        _close(getattr(scene, name), expected[name])
        _close(other[name], expected[name])
    for name in expected.files:
        if name.startswith("extra_"):
            _close(scene.extras[name[6:]], expected[name])
            _close(other["extras"][name[6:]], expected[name])
    assert other["n"] == len(scene)
    assert other["frame"] == scene.frame
    assert other["sh_degree"] == scene.sh_degree


@pytest.mark.parametrize("entry", _those("corrupt"), ids=_ids)
def test_bad(entry: dict[str, str]) -> None:
    with pytest.raises(CorruptError):
        _library(_bytes(entry))
    with pytest.raises(DECODER.Corrupt):
        DECODER.decode(_bytes(entry))


@pytest.mark.parametrize("entry", _those("unsupported"), ids=_ids)
def test_unsupported(entry: dict[str, str]) -> None:
    with pytest.raises(UnsupportedError):
        _library(_bytes(entry))
    with pytest.raises(DECODER.Unsupported):
        DECODER.decode(_bytes(entry))


@pytest.mark.parametrize(("n", "degree", "q"), [(2500, 3, 0.4), (1500, 0, 0.05), (900, 2, 3.0)])
def test_both_decoders_agree_on_fresh_files(n: int, degree: int, q: float) -> None:
    scene = synth.scene(n, degree, seed=n)
    out = io.BytesIO()
    weights = np.random.default_rng(n).lognormal(0, 3, n)
    encode(scene, out, settings("high", q=q, chunk=700), weights=weights)
    ours, other = _library(out.getvalue()), DECODER.decode(out.getvalue())
    for name in ATTRIBUTES:
        np.testing.assert_allclose(other[name], getattr(ours, name), rtol=5e-7, atol=1e-9)
