from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from splatpack.bench.page import GAIN, SHOWN, Drawn, Facts, draw, page
from splatpack.bench.pairing import Errors, attribute_errors
from splatpack.errors import UsageError
from splatpack.render.compare import compare
from splatpack.render.views import evaluation_cameras, orbit_cameras
from splatpack.scene.gaussians import Gaussians
from tests import synth

VOID = {"meta", "img", "input"}
HOSTILE = "<script>alert('1')</script>\"&.ply"


class Reader(HTMLParser):
    """Checks that tags are balanced, and collects attributes and text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, k, v or "") for k, v in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, k, v or "") for k, v in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def values(self, tag: str, name: str) -> list[str]:
        return [v for t, k, v in self.attributes if (t, k) == (tag, name)]


def check_self_contained(html: str) -> Reader:
    """Nothing that a browser would fetch: no addresses but data URIs and places in the page."""
    found = Reader(html)
    for _, name, value in found.attributes:
        if name in ("src", "href", "srcset", "poster", "data", "action", "xlink:href"):
            assert value.startswith(("data:image/webp;base64,", "#view-"))
        assert not name.startswith("on")
    outside = re.sub(r"data:image/webp;base64,[A-Za-z0-9+/=]+", "", html)
    for text in ("http:", "https:", "//", "@import", "url(", "<link", "<iframe"):
        assert text not in outside
    return found


@pytest.fixture(scope="module")
def scene() -> Gaussians:
    return synth.scene(1200, degree=2, seed=5)


@pytest.fixture(scope="module")
def coarse(scene: Gaussians) -> Gaussians:
    """The scene with small errors of a known size."""
    rng = np.random.default_rng(1)
    return replace(
        scene,
        means=scene.means + rng.uniform(-1e-4, 1e-4, scene.means.shape).astype(np.float32),
        sh0=scene.sh0 + rng.uniform(-0.01, 0.01, scene.sh0.shape).astype(np.float32),
        opacities=scene.opacities + np.float32(0.125),
    )


@pytest.fixture(scope="module")
def drawn(scene: Gaussians, coarse: Gaussians) -> Drawn:
    return draw(scene, coarse)


def test_figures_are_those_of_compare(scene: Gaussians, coarse: Gaussians, drawn: Drawn) -> None:
    assert drawn.report == compare(scene, coarse)
    assert len(drawn.pictures) == 12


def test_page(scene: Gaussians, coarse: Gaussians, drawn: Drawn) -> None:
    facts = Facts(
        "a and b", [("size", "1 MB"), ("original", "a")], "splatpack compress a", {"geometry": 900, "sh": 100}
    )
    html = page(facts, drawn, attribute_errors(scene, coarse))
    found = check_self_contained(html)
    assert len(html) < 3_000_000
    assert len(found.values("img", "src")) == 3 * 12
    assert found.values("section", "id") == [f"view-{k}" for k in range(12)]
    assert len(set(found.values("input", "aria-label"))) == 12
    assert all(found.values("img", "alt"))
    for name in drawn.report.names:
        assert found.words.count(name) >= 1
    assert "splatpack compress a" in found.words
    assert f"absolute error x{GAIN:g}" in found.words
    assert {"90.0 %", "10.0 %"} <= set(found.words)
    assert found.words.count("Search") == 0
    assert found.values("svg", "class") == ["hist"] * 3
    assert found.words.count(f"All {len(scene):,} are exact.") == 3


def test_hostile_names_are_text(drawn: Drawn) -> None:
    named = replace(drawn, report=replace(drawn.report, names=[f"{HOSTILE}{k}" for k in range(12)]))
    facts = Facts(HOSTILE, [(HOSTILE, HOSTILE)], HOSTILE, {HOSTILE: 3}, [{"q": 1.0, "bytes": 5, "psnr_mean": 30.0}])
    html = page(facts, named, Errors([(HOSTILE, HOSTILE, np.array([0.1, 0.2]))], HOSTILE))
    found = check_self_contained(html)
    assert html.count("<script") == 1
    assert found.words.count(HOSTILE) >= 5
    assert found.values("img", "alt")[0] == f"original, {HOSTILE}0"


def test_search(drawn: Drawn) -> None:
    walked = [{"q": 0.5, "bytes": 9000, "psnr_mean": 41.0, "psnr_min": 38.0}, {"q": 1.0, "bytes": 5000}]
    walked.append({"q": 2.0, "bytes": 3000, "psnr_mean": 31.0, "psnr_min": 28.0})
    found = check_self_contained(page(Facts("t", [], search=walked), drawn))
    assert found.words.count("Search") == 1
    assert len(found.values("circle", "cx")) == 4
    walked.append({"q": 3.0, "bytes": 2900, "refine": 300, "psnr_mean": 33.0, "psnr_min": 30.0})
    both = check_self_contained(page(Facts("t", [], search=walked), drawn))
    assert len(both.values("circle", "cx")) == 6
    assert len(both.values("polyline", "points")) == 4
    assert "mean, refitted" in both.words
    sizes = check_self_contained(page(Facts("t", [], search=[{"q": 1.0, "bytes": 5}, {"q": 2.0, "bytes": 3}]), drawn))
    assert len(sizes.values("circle", "cx")) == 2


def test_many_views_and_large_ones(scene: Gaussians, coarse: Gaussians) -> None:
    cameras = [replace(c, name="") for c in orbit_cameras(scene, 40, 32, 24)]
    cameras[7] = evaluation_cameras(scene, 800, 600)[0]
    drawn = draw(scene, coarse, cameras)
    assert len(drawn.pictures) <= SHOWN
    assert int(np.argmin(drawn.report.psnr)) in drawn.pictures
    found = check_self_contained(page(Facts("t", []), drawn))
    assert len(found.values("td", "data-key")) == 3 * 40
    with pytest.raises(UsageError):
        draw(scene, coarse, [])


def test_errors_in_the_same_order(scene: Gaussians, coarse: Gaussians) -> None:
    found = attribute_errors(scene, coarse)
    values = {name: v for name, _, v in found.values}
    assert list(values) == ["means", "scales", "opacities", "sh0", "shN", "rotation"]
    assert "same order" in found.note
    assert all(len(v) == len(scene) for v in values.values())
    assert values["opacities"] == pytest.approx(0.125, abs=1e-6)
    assert 0 < values["sh0"].max() <= 0.0101
    assert values["scales"].max() == 0
    assert values["rotation"].max() < 1e-6


def test_errors_of_shuffled_and_pruned_rows(scene: Gaussians, coarse: Gaussians) -> None:
    rng = np.random.default_rng(2)
    index = rng.permutation(len(scene))[:1000]
    found = attribute_errors(scene, coarse.take(index))
    values = {name: v for name, _, v in found.values}
    assert "paired" in found.note
    assert len(values["means"]) >= 990
    assert np.percentile(values["opacities"], 99) == pytest.approx(0.125, abs=1e-5)
    assert np.percentile(values["sh0"], 99) <= 0.0101


def test_axes_in_another_order_are_no_error(scene: Gaussians) -> None:
    half = np.sqrt(0.5)
    w, x, y, z = scene.quats.T
    turned = half * np.stack([w - z, x + y, y - x, z + w], axis=1)  # a quarter turn about the third axis
    same = replace(scene, quats=turned.astype(np.float32), scales=np.ascontiguousarray(scene.scales[:, [1, 0, 2]]))
    values = {name: v for name, _, v in attribute_errors(scene, same).values}
    assert values["scales"].max() == 0
    assert values["rotation"].max() < 1e-3
    small = np.radians(3.0) / 2
    c, d = np.cos(small), np.sin(small)
    turned = np.stack([c * w - d * z, c * x + d * y, c * y - d * x, c * z + d * w], axis=1)
    values = {n: v for n, _, v in attribute_errors(scene, replace(scene, quats=turned.astype(np.float32))).values}
    assert np.median(values["rotation"]) == pytest.approx(3.0, abs=1e-3)


def test_strangers_have_no_errors(scene: Gaussians, drawn: Drawn) -> None:
    other = synth.scene(900, degree=0, seed=77)
    found = attribute_errors(scene, other)
    assert found.values == []
    assert "could be paired" in found.note
    assert found.note in "".join(check_self_contained(page(Facts("t", []), drawn, found)).words)
    assert attribute_errors(scene, scene.take(slice(0, 0))).values == []


def test_equal_scenes(scene: Gaussians) -> None:
    drawn = draw(scene, scene, orbit_cameras(scene, 2, 32, 24))
    words = check_self_contained(page(Facts("t", []), drawn, attribute_errors(scene, scene))).words
    assert "identical" in words
    assert f"All {len(scene):,} are exact." in words
