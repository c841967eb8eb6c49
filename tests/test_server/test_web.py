"""The viewer's files: what is served and how, that nothing is missing, and that they join into one page."""

from __future__ import annotations

import base64
import hashlib
import re
from html import unescape
from pathlib import Path, PurePosixPath

import pytest

from splatpack.server import export, viewer
from splatpack.server.viewer import PREFIX, WEB
from tests.test_server.harness import Reply
from tests.test_server.test_http import get

MODULES = sorted(path.relative_to(WEB).as_posix() for path in WEB.rglob("*.js"))
ENTRIES = ("main.js", "load.worker.js", "sort.worker.js", "exported.js")
IMPORT = re.compile(r'^import .* from "(.*)";$', re.MULTILINE)


def header(reply: Reply, name: str) -> str:
    return reply.headers[name]


def test_the_page_is_served_with_a_strict_policy(folder: Path) -> None:
    reply = get(folder, f"{PREFIX}/?scene=fox")
    assert reply.status == 200
    assert header(reply, "content-type") == "text/html; charset=utf-8"
    policy = dict(part.strip().split(" ", 1) for part in header(reply, "content-security-policy").split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["worker-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in header(reply, "content-security-policy")
    assert reply.body == (WEB / "index.html").read_bytes()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("main.js", "text/javascript"),
        ("style.css", "text/css"),
        ("spk/tokens.js", "text/javascript"),
        ("defaults.txt", "text/plain"),
        ("metadata.dict", "application/octet-stream"),
        ("package.json", ""),
        ("index.html", ""),
    ],
)
def test_files_have_their_types_and_no_others_are_there(folder: Path, name: str, kind: str) -> None:
    reply = get(folder, f"{PREFIX}/{name}")
    if not kind:
        assert reply.status == 404
        return
    assert header(reply, "content-type").startswith(kind)
    assert header(reply, "x-content-type-options") == "nosniff"
    assert "content-security-policy" in reply.headers  # a worker runs under that of its own script


@pytest.mark.parametrize("path", ["/../viewer.py", "/%2e%2e/viewer.py", "/spk/../../viewer.py", "//etc/passwd", "/spk"])
def test_no_path_leads_out(folder: Path, path: str) -> None:
    assert get(folder, PREFIX + path).status == 404


def test_a_file_that_the_browser_has_is_not_sent_again(folder: Path) -> None:
    first = get(folder, f"{PREFIX}/main.js")
    again = get(folder, f"{PREFIX}/main.js", If_None_Match=f'"x", {first.headers["etag"]}')
    assert (again.status, again.body) == (304, b"")
    assert get(folder, f"{PREFIX}/main.js", If_None_Match='"x"').status == 200


def test_the_viewer_needs_no_token_but_scenes_do(folder: Path) -> None:
    settings = {"tokens": ("long enough",)}
    assert get(folder, f"{PREFIX}/", settings=settings).status == 200
    assert get(folder, "/scenes/fox.spk", settings=settings).status == 401


def test_the_viewer_without_its_slash_is_elsewhere(folder: Path) -> None:
    reply = get(folder, PREFIX)
    assert (reply.status, reply.headers["location"]) == (301, f"{PREFIX}/")


def test_the_landing_page_leads_to_the_viewer(folder: Path) -> None:
    assert f'href="{PREFIX}/?scene=fox"' in get(folder, "/").body.decode()


def test_every_module_is_needed_and_every_import_is_there() -> None:
    reached: set[str] = set()
    waiting = list(ENTRIES)
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        for path in IMPORT.findall((WEB / name).read_text()):
            parts = [*PurePosixPath(name).parent.parts, *PurePosixPath(path).parts]
            while ".." in parts:
                at = parts.index("..")
                del parts[at - 1 : at + 1]
            waiting.append("/".join(part for part in parts if part != "."))
    assert sorted(reached) == MODULES


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_small_and_join(name: str) -> None:
    text = (WEB / name).read_text()
    lines = text.splitlines()
    assert len(lines) <= 250
    assert max(len(line) for line in lines) <= 120
    assert text.startswith("/**")
    for line in lines:
        if line.startswith("import "):
            assert re.fullmatch(r'import \{ .* \} from "\.{1,2}/[\w./]+\.js";', line), line
        if line.startswith("export "):
            assert re.match(r"export (async )?(function|class|const) \w", line), line
    assert not re.search(r"https?://(?!www\.w3\.org)", text)
    assert "</script" not in text.lower()


def test_the_files_hold_nothing_from_elsewhere() -> None:
    for path in WEB.rglob("*"):
        if path.is_file():
            assert not re.search(rb"(?:src|href)=\"(?:https?:)?//", path.read_bytes()), path


def test_one_page_holds_everything(scene: bytes) -> None:
    html = export.page(scene, 'a <b> & "c"').decode()
    blocks = dict(re.findall(r'<script type="text/plain" id="([\w-]+)">([^<]*)</script>', html))
    assert base64.b64decode(blocks["scene"]) == scene
    assert base64.b64decode(blocks["defaults"]) == viewer.TABLES["defaults.txt"].read_bytes()
    assert '<h1 id="name">a &lt;b&gt; &amp; &quot;c&quot;</h1>' in html
    assert 'src="' not in html
    assert not re.search(r'href="(?!data:,")', html)
    policy = unescape(re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)[0])
    script = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)[0]
    style = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)[0]
    for text, rule in ((script, "script-src"), (style, "style-src")):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "connect-src" not in policy


def test_joined_scripts_have_no_modules_left() -> None:
    for entry in ENTRIES[1:]:
        script = export.link(entry)
        assert not re.search(r"^\s*(import|export) ", script, re.MULTILINE)
        assert script.count("= (() => {") == len(set(re.findall(r"^const (m\d+) =", script, re.MULTILINE)))
