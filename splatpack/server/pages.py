"""The landing page: what is served here, as plain HTML without scripts."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from splatpack.server.viewer import PREFIX

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46em;margin:3em auto;padding:0 1em;color:#222;background:#fff}"
    "table{border-collapse:collapse;width:100%}td,th{padding:.3em .8em .3em 0;text-align:left}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}code{background:#f2f2f2;padding:.1em .3em}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}a{color:#8bf}code{background:#333}}"
)


def landing(scenes: Iterable[dict[str, Any]], host: str, secure: bool) -> str:
    """Return the page.

    Parameters
    ----------
    scenes : iterable of dict
        As ``/scenes`` lists them.
    host : str
        What the browser calls this server, from its Host header.
    secure : bool
    """
    rows = "".join(
        f'<tr><td><a href="{escape(s["url"])}">{escape(s["name"])}</a></td>'
        f'<td><a href="{PREFIX}/?scene={escape(s["name"])}">view</a></td><td class="n">{s["gaussians"]:,}</td>'
        f'<td class="n">{s["bytes"] / 1e6:.2f} MB</td><td class="n">{s["chunks"]:,}</td></tr>'
        for s in scenes
    )
    url = f"{'wss' if secure else 'ws'}://{host}/NAME"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>splatpack</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<h1>splatpack</h1><p>Scenes that are served here. A name downloads the file, the link beside it "
        f"shows it in the browser; "
        f"<code>splatpack fetch {escape(url)} -o OUT.spk</code> streams it by view.</p>"
        f"<table><tr><th>scene</th><th></th><th>Gaussians</th><th>size</th><th>chunks</th></tr>{rows}</table>"
        f'<p><a href="/scenes">/scenes</a> (JSON) &middot; <a href="/metrics">/metrics</a> &middot; '
        f'<a href="/healthz">/healthz</a></p></html>\n'
    )
