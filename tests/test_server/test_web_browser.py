"""The viewer in a real browser, where there is one: what it draws against the library's renderer, and what it says."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from examples.make_sample import build
from splatpack.pack.api import read, write
from splatpack.render.compare import psnr
from splatpack.render.cpu import render
from splatpack.scene.cameras import Camera
from splatpack.server.app import Server
from splatpack.server.config import ServerConfig
from splatpack.server.export import page
from splatpack.server.registry import Registry
from tests.test_server.chromium import Tab, tab

SETTLED = "document.documentElement.dataset.settled === 'true'"
FAILED = "document.documentElement.dataset.state === 'error'"
WIDTH, HEIGHT = 240, 180
ALIKE = 45.0
"""dB: half floats for shapes and ten bits for coefficients cost about 55."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped example scene, small: flat, and in levels; and one that is damaged."""
    place = tmp_path_factory.mktemp("scenes")
    sample = build(6000)
    how: dict[str, Any] = {"goal": None, "refine": 0, "importance_views": 0, "prune": 0.0}
    write(place / "flat.spk", sample, **how)
    write(place / "levels.spk", sample, lod=True, lod_refine=0, **how)
    data = bytearray((place / "flat.spk").read_bytes())
    data[-9] ^= 1
    (place / "damaged.spk").write_bytes(data)
    return place


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[str]:
    """A server in a thread of its own; yields its address."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    registry = Registry([str(folder)])
    server = Server(registry, ServerConfig(port=0, log="off", grace=1.0))

    def run() -> None:
        loop.run_until_complete(server.start())
        ready.set()
        loop.run_forever()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    yield server.viewer
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(20)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    registry.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with tab(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def show(browser: Tab, url: str, until: str = SETTLED) -> None:
    browser.events.clear()
    browser.size(WIDTH, HEIGHT)
    browser.open("about:blank")
    browser.events.clear()
    browser.open(url)
    browser.until(until)


def picture(browser: Tab) -> NDArray[np.float32]:
    image = Image.open(io.BytesIO(browser.picture())).convert("RGB")
    return (np.asarray(image) / 255).astype(np.float32)


def expected(browser: Tab, path: Path) -> NDArray[np.float32]:
    """What the library draws from the camera that the viewer says it has."""
    c = json.loads(browser.value("document.documentElement.dataset.camera"))
    size = (int(c["width"]), int(c["height"]))
    camera = Camera(np.array(c["viewmat"], np.float64), c["focal"], c["focal"], size[0] / 2, size[1] / 2, *size)
    return render(read(path), camera).color


QUERY = "ui=off&background=black&tau=0"


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (f"viewer/?scene=flat&{QUERY}", "flat"),
        (f"viewer/?scene=levels&{QUERY}", "levels"),
        (f"viewer/?src=/scenes/levels.spk&{QUERY}", "levels"),
        (f"viewer/?scene=flat&{QUERY}#at=0.2,-0.4,0,3.5,-0.4,-0.6", "flat"),
    ],
)
def test_the_viewer_draws_what_the_library_draws(browser: Tab, site: str, folder: Path, where: str, name: str) -> None:
    show(browser, site + where)
    assert browser.value("document.documentElement.dataset.state") == "complete"
    got, want = picture(browser), expected(browser, folder / f"{name}.spk")
    assert want.std() > 0.1
    assert psnr(got, want) > ALIKE
    assert browser.troubles() == []
    assert all(url.startswith((site, site.replace("http", "ws"))) for url in browser.requests())


def test_an_exported_page_draws_the_same_from_the_disk(browser: Tab, folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "flat.html"
    target.write_bytes(page((folder / "flat.spk").read_bytes(), "flat"))
    show(browser, f"{target.as_uri()}?{QUERY}")
    assert psnr(picture(browser), expected(browser, folder / "flat.spk")) > ALIKE
    assert browser.troubles() == []
    assert {url.split(":")[0] for url in browser.requests()} <= {"file", "blob"}


MOUSE = {"x": 120, "y": 90, "button": "left", "clickCount": 1}
ACTS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "the left arrow": [
        ("Key", {"type": "keyDown", "code": "ArrowLeft", "key": "ArrowLeft"}),
        ("Key", {"type": "keyUp", "code": "ArrowLeft"}),
    ],
    "a drag to the right": [
        ("Mouse", {**MOUSE, "type": "mousePressed"}),
        ("Mouse", {**MOUSE, "type": "mouseMoved", "x": 150, "buttons": 1}),
        ("Mouse", {**MOUSE, "type": "mouseReleased", "x": 150}),
    ],
    "the wheel towards oneself": [("Mouse", {"type": "mouseWheel", "x": 120, "y": 90, "deltaX": 0, "deltaY": 200})],
}


def test_keys_mouse_and_wheel_move_the_camera_and_reset_brings_it_back(browser: Tab, site: str) -> None:
    show(browser, f"{site}viewer/?scene=flat&{QUERY}")
    where = "document.documentElement.dataset.camera"
    first = browser.value(where)
    for act, (axis, sign) in zip(ACTS, [(0, -1), (0, -1), (2, -1)], strict=True):
        before = browser.value(where)
        for kind, event in ACTS[act]:
            browser.call(f"Input.dispatch{kind}Event", **event)
        browser.until(f"{where} !== {json.dumps(before)} && {SETTLED}", 30)
        step = np.subtract(json.loads(browser.value(where))["pos"], json.loads(before)["pos"])
        assert sign * step[axis] > 0, act
    browser.call("Input.dispatchKeyEvent", type="keyDown", code="KeyR", key="r")
    browser.until(f"{where} === {json.dumps(first)} && {SETTLED}", 30)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("scene=nobody", "no scene of that name"),
        ("src=/scenes/nobody.spk", "HTTP status 404"),
        ("src=/viewer/main.js", "not a .spk"),
    ],
)
def test_what_cannot_be_shown_is_said_in_words(browser: Tab, site: str, query: str, words: str) -> None:
    show(browser, f"{site}viewer/?{query}", FAILED)
    browser.until("!document.getElementById('note').hidden")
    assert words in browser.value("document.getElementById('note').textContent").replace("there is ", "")


def test_a_damaged_part_is_said_and_the_rest_is_shown(browser: Tab, site: str) -> None:
    show(browser, f"{site}viewer/?src=/scenes/damaged.spk&tau=0", "!document.getElementById('note').hidden")
    assert "corrupt" in browser.value("document.getElementById('note').textContent")


def test_the_picture_comes_back_after_the_graphics_card_was_taken_away(browser: Tab, site: str) -> None:
    show(browser, f"{site}viewer/?scene=levels&{QUERY}")
    before = picture(browser)
    browser.value(
        "void (lost = document.getElementById('view').getContext('webgl2').getExtension('WEBGL_lose_context'))"
    )
    browser.value("lost.loseContext()")
    browser.until("document.getElementById('state').textContent.includes('taken away')", 30)
    browser.value("lost.restoreContext()")
    browser.until("!document.getElementById('state').textContent.includes('taken away')", 30)
    browser.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert psnr(picture(browser), before) > 60


def test_nothing_overlaps_or_overflows_on_a_phone(browser: Tab, site: str) -> None:
    show(browser, f"{site}viewer/?scene=flat")
    browser.size(360, 640, touch=True)
    browser.until("innerWidth === 360")
    boxes = "['header', 'nav'].map((s) => document.querySelector(s).getBoundingClientRect().toJSON())"
    top, bottom = browser.value(boxes)
    for box in (top, bottom):
        assert box["left"] >= 0
        assert box["right"] <= 360
    assert top["bottom"] < bottom["top"]
    assert bottom["bottom"] <= 640
    small = "[...document.querySelectorAll('nav button')].filter((b) => b.getBoundingClientRect().height < 44).length"
    assert browser.value(small) == 0
    assert browser.value("document.documentElement.scrollWidth") <= 360
