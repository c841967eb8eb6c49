"""The table of formats for people and for ``docs/formats.md``."""

from __future__ import annotations

import textwrap
from typing import Any

from splatpack.formats.measured import CONDITIONS, FIGURES
from splatpack.formats.table import FORMATS, Format

OWN = "spk"
"""The format that the container, and not this folder, reads and writes."""

_INTRO = """# Formats

Generated from `splatpack/formats/table.py` by `splatpack formats --markdown > docs/formats.md`.

Files are told by their content; a name decides only for `.splat` and `.ksplat`, which have no signature. A reader never
turns a scene: it gives the numbers of the file and says in which frame they are. A writer turns the scene to the first
frame of its row, unless the scene is in one of the others. What a target cannot hold (SH bands, columns, flags, values
beyond its range) is counted and said in a warning each; positions beyond its range are an error.
"""

_FRAMES = """
Frames are the directions of +x, +y, +z: `rdf` right, down, front (COLMAP, Inria PLY); `rub` right, up, back (OpenGL);
`luf` left, up, front (glTF); `z_up` right, front, up (nerfstudio). Nothing in most files says which one they are in.
SPZ is documented as `rub`, yet splat-transform, gsply and Niantic's own `ply_to_spz` store whatever they were given:
`convert --frame rdf` reads such a file as what it is, `convert --output-frame rdf` writes one for them.
"""


def rows() -> list[dict[str, Any]]:
    """Return one row for each format that is read or written."""
    return [_row(f) for f in FORMATS.values() if f.reader or f.writer or f.name == OWN]


def named_only() -> list[str]:
    """Return the titles of formats that are recognised and neither read nor written."""
    return [f.title for f in FORMATS.values() if not (f.reader or f.writer or f.name == OWN)]


def _row(f: Format) -> dict[str, Any]:
    own = f.name == OWN
    return {
        "name": f.name, "title": f.title, "extensions": list(f.extensions), "folder": f.folder,
        "read": own or f.reader is not None, "write": own or f.writer is not None,
        "frames": [] if own else list(f.frames), "sh_degree": f.sh_degree,
        "flags": [name for name in ("antialiased", "surfels") if own or getattr(f, name)],
        "extras": own or f.extras, "limits": f.limits,
    }  # fmt: skip


def cells(row: dict[str, Any]) -> list[str]:
    """Return the columns of :data:`HEADINGS` for a row."""
    return [
        row["title"],
        " ".join(row["extensions"]) or "folder",
        "yes" if row["read"] else "-",
        "yes" if row["write"] else "-",
        ", ".join(row["frames"]) or "any",
        str(row["sh_degree"]),
        ", ".join(row["flags"]) or "-",
        "yes" if row["extras"] else "-",
        row["limits"],
    ]


HEADINGS = ["format", "extension", "read", "write", "frame", "SH degree", "flags", "extra columns", "limits"]


def markdown() -> str:
    """Return the text of ``docs/formats.md``."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS)]
    lines += ["| " + " | ".join(cells(row)) + " |" for row in rows()]
    known = f"\nRecognised and named in an error, not read: {', '.join(named_only())}.\n"
    return _INTRO + "\n" + "\n".join(lines) + "\n" + _FRAMES + known + _measured()


def _measured() -> str:
    """Return the section on speed and size."""
    lines = ["\n## Measured\n", *textwrap.wrap(CONDITIONS, 120), ""]
    lines += ["| format | read, M per CPU s | write, M per CPU s | bytes per Gaussian |", "|---|---|---|---|"]
    lines += [f"| {FORMATS[n].title} | {r:g} | {w:g} | {b:g} |" for n, (r, w, b) in FIGURES.items()]
    return "\n".join(lines) + "\n"
