"""One page that holds a scene and its viewer: modules joined into scripts, everything else as blocks of text.

Pages that are opened from a disk cannot load modules, and workers not even scripts, so the modules are joined: each
becomes a function that returns what it exports. The viewer's code keeps to what this needs, and a test holds it to
that: imports by name at the start of a line, exports in front of declarations.
"""

from __future__ import annotations

import base64
import hashlib
import re
from html import escape
from pathlib import PurePosixPath

from splatpack.server.viewer import TABLES, WEB

_IMPORT = re.compile(r'^import \{([^}]*)\} from "(\.{1,2}/[^"]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const) (\w+))", re.MULTILINE)
_COMMENT = re.compile(r"^[ \t]*/\*\*(?:(?!\*/)[\s\S])*\*/[ \t]*\n", re.MULTILINE)
_STYLE = '<link rel="stylesheet" href="style.css">'
_NAME = '<h1 id="name">splatpack</h1>'
_SCRIPT = '<script type="module" src="main.js"></script>'


def link(entry: str) -> str:
    """Return one classic script that does what the module ``entry`` (a path below the viewer's folder) does."""
    done: dict[str, str] = {}
    _visit(entry, done)
    return '"use strict";\n' + "".join(done.values())


def _visit(name: str, done: dict[str, str]) -> None:
    """Add a module to ``done`` after everything that it imports."""
    text = _COMMENT.sub("", (WEB / name).read_text("utf-8"))
    imports = []
    for names, path in _IMPORT.findall(text):
        target = _resolve(PurePosixPath(name).parent, path)
        if target not in done:
            _visit(target, done)
        imports.append(f"const {{{names.replace(' as ', ': ')}}} = {_variable(target, done)};\n")
    exports = ", ".join(_EXPORT.findall(text))
    body = _EXPORT.sub("", _IMPORT.sub("", text))
    done[name] = f"const m{len(done)} = (() => {{\n{''.join(imports)}{body}return {{ {exports} }};\n}})();\n"


def _resolve(folder: PurePosixPath, path: str) -> str:
    parts: list[str] = list(folder.parts)
    for part in PurePosixPath(path).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def _variable(name: str, done: dict[str, str]) -> str:
    """Return what the script calls a module that it holds already."""
    return f"m{list(done).index(name)}"


def page(scene: bytes, name: str) -> bytes:
    """Return an HTML page that shows a scene without asking anybody for anything.

    Parameters
    ----------
    scene : bytes
        A ``.spk``.
    name : str
        What the page calls it.
    """
    style = (WEB / "style.css").read_text("utf-8")
    script = link("exported.js")
    blocks = {
        "load-worker": link("load.worker.js"),
        "sort-worker": link("sort.worker.js"),
        "defaults": base64.b64encode(TABLES["defaults.txt"].read_bytes()).decode(),
        "dictionary": base64.b64encode(TABLES["metadata.dict"].read_bytes()).decode(),
        "scene": base64.b64encode(scene).decode(),
    }
    data = "".join(f'<script type="text/plain" id="{key}">{text}</script>\n' for key, text in blocks.items())
    policy = (
        f"default-src 'none'; script-src {_digest(script)} blob:; worker-src blob:; style-src {_digest(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    html = (WEB / "index.html").read_text("utf-8")
    head = f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n    <style>{style}</style>'
    html = html.replace(_STYLE, head).replace(_SCRIPT, "").replace(_NAME, f'<h1 id="name">{escape(name)}</h1>')
    return html.replace("  </body>", f"{data}<script>{script}</script>\n  </body>").encode()


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
