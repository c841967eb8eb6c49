"""``splatpack info``: what a file is and holds. A ``.spk`` is not decoded: directory and metadata say it all."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from splatpack.cli import _options
from splatpack.cli._console import Console, size

if TYPE_CHECKING:
    from splatpack.container.reader import ContainerReader

SECTIONS = {0: "geometry", 1: "sh", 2: "columns"}


@click.argument("source", metavar="F")
@click.option("--stats", is_flag=True, help="Range and histogram of every attribute and extra column; decodes a .spk.")
@_options.max_memory
def _run(console: Console, source: str, *, stats: bool, max_memory: int | None) -> None:
    """Show what a file is: kind, counts, bounds, frame, SH degree, chunks, levels, codecs, bytes per section.

    A .spk is not decoded, unless --stats asks for it; other formats are read whole.
    """
    values = _spk(source, max_memory) if _is_spk(source) else _foreign(source, max_memory)
    if stats:
        from splatpack.cli._statstable import measure

        values["stats"] = measure(source, _is_spk(source), _options.limits(max_memory), console.threads)
    console.result(values)
    if not console.json:
        from splatpack.cli._infotable import panel

        console.show(panel(source, values, facts(values)), stream=sys.stdout)
    if stats and not console.json:
        from splatpack.cli._statstable import table

        console.show(table(values["stats"]), stream=sys.stdout)


def _is_spk(source: str) -> bool:
    """Whether a file is to be described without decoding it; a damaged one is found out on the way."""
    from splatpack.cli._inputs import remote
    from splatpack.formats.detect import detect

    return remote(source) or source.endswith(".spkm") or detect(source) in ("spk", "unknown")


def _spk(source: str, max_memory: int | None) -> dict[str, Any]:
    """Describe a ``.spk`` from its header, directory and metadata; no codec is loaded."""
    from splatpack.cli._inputs import corners, open_spk

    with open_spk(source, _options.limits(max_memory)) as reader:
        meta, chunks = reader.meta, reader.chunks
        n = sum(c.count for c in (reader.select() if reader.has_levels else chunks))
        low, high = corners((c.low, c.high) for c in chunks)
        return {
            "input": source, "kind": reader.kind, "format": "spk",
            "version": f"{reader.header.major}.{reader.header.minor}",
            "n": n, "sh_degree": meta.get("sh_degree"),
            "bounds": {"low": low, "high": high}, "reach": max(c.reach for c in chunks),
            "frame": meta.get("frame"), "bytes": reader.source.size,
            "bits_per_gaussian": 8 * reader.source.size / n,
            "chunks": len(chunks), "pages": len(reader.pages),
            "sections": _sections(reader), "levels": _levels(reader),
            "flags": meta.get("flags"), "order_kept": meta.get("order_kept"), "generator": meta.get("generator"),
            "quality": meta.get("quality"),
            "encoder": meta.get("encoder"), "source": meta.get("source"), "codecs": _codecs(meta.get("profiles")),
            "root_hash": reader.header.root_hash.hex(),
        }  # fmt: skip


def _sections(reader: ContainerReader) -> list[dict[str, Any]]:
    """Bytes by section, with the attributes in it; the header, directory, metadata and tables are sections too."""
    total: dict[int, int] = {}
    for chunk in reader.chunks:
        for section in chunk.sections:
            total[section.kind] = total.get(section.kind, 0) + section.length
    holds = _attributes(reader.meta.get("profiles"))
    rows = [
        {"name": SECTIONS.get(kind, f"kind {kind}"), "bytes": length, "attributes": holds.get(kind, [])}
        for kind, length in sorted(total.items())
    ]
    h = reader.header
    pages = sum(p.length for p in reader.pages)
    for name, length in (("tables", h.tables_len), ("directory", h.root_len + pages), ("metadata", h.meta_len)):
        rows.append({"name": name, "bytes": length, "attributes": []})
    rows.append({"name": "header", "bytes": h.data_offset - h.tables_len - h.root_len - h.meta_len, "attributes": []})
    return rows


def _maps(value: Any) -> list[dict[str, Any]]:
    """Return the maps of a list; metadata is checked for form only, so anything may stand here."""
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def _strings(value: Any) -> list[str]:
    return [str(v) for v in value] if isinstance(value, list) else []


def _attributes(profiles: Any) -> dict[int, list[str]]:
    holds: dict[int, list[str]] = {0: [], 1: [], 2: []}
    for profile in _maps(profiles):
        splat = profile.get("splat")
        listed = splat.get("attributes") if isinstance(splat, dict) else None
        holds[0] += _strings(listed)
        holds[1] += ["shN"] if profile.get("sh") is True else []
        holds[2] += [str(c.get("name")) for c in _maps(profile.get("columns"))]
    return {kind: list(dict.fromkeys(names)) for kind, names in holds.items()}


def _codecs(profiles: Any) -> list[str]:
    """Name the codecs that a decoder needs."""
    names: list[str] = []
    for profile in _maps(profiles):
        names += ["splat"] if profile.get("splat") or profile.get("sh") else []
        for column in _maps(profile.get("columns")):
            names += [str(c.get("id")) for c in _maps(column.get("pipeline"))]
    return list(dict.fromkeys(names))


def _levels(reader: ContainerReader) -> list[dict[str, Any]]:
    """Describe each level: what it stores; with levels of detail also what is drawn, and where the file has it all."""
    rows: dict[int, dict[str, Any]] = {}
    for c in reader.chunks:
        row = rows.setdefault(c.level, {"level": c.level, "chunks": 0, "n": 0, "bytes": 0})
        row["chunks"] += 1
        row["n"] += c.count
        row["bytes"] += c.length
    for level, row in rows.items() if reader.has_levels else ():
        mine = [c for c in reader.chunks if c.level == level]
        row["stand_ins"] = sum(c.count for c in mine if c.successors)
        row["error"] = max(c.error for c in mine)
        row["drawn"] = sum(c.count for c in reader.select(level=level))
        row["end"] = max(c.offset + c.length for c in reader.chunks if c.level >= level)
    return [rows[level] for level in sorted(rows)]


def _foreign(source: str, max_memory: int | None) -> dict[str, Any]:
    """Describe a file of a foreign format, which is read for it."""
    import numpy as np

    from splatpack.formats.detect import detect
    from splatpack.formats.registry import read_scene
    from splatpack.scene.gaussians import ATTRIBUTES
    from splatpack.scene.validate import validate

    stored = read_scene(source, limits=_options.limits(max_memory))
    scene, found = validate(stored)
    parts = {name: getattr(stored, name).nbytes for name in ATTRIBUTES}
    parts |= {name: column.nbytes for name, column in stored.extras.items()}
    length = Path(source).stat().st_size
    low, high = scene.means.min(axis=0), scene.means.max(axis=0)
    return {
        "input": source, "kind": "gaussians", "format": detect(source), "version": None, "n": len(stored),
        "sh_degree": stored.sh_degree, "bounds": {"low": low.tolist(), "high": high.tolist()},
        "reach": 3 * float(np.exp(scene.scales.max(initial=0.0))), "frame": stored.frame, "bytes": length,
        "bits_per_gaussian": 8 * length / len(stored), "chunks": 0, "pages": 0,
        "sections": [{"name": k, "bytes": v, "attributes": [k]} for k, v in parts.items() if v],
        "levels": [{"level": 0, "chunks": 0, "n": len(stored), "bytes": length}],
        "flags": [f for f in ("antialiased", "surfels") if getattr(stored, f)], "source": dict(stored.metadata),
        "extras": {k: v.dtype.str for k, v in stored.extras.items()},
        "warnings": [] if found.clean else [found.summary()],
    }  # fmt: skip


def _count(values: dict[str, Any]) -> str:
    """Return the number of Gaussians, and of how many they are left where some were pruned."""
    encoder = values.get("encoder")
    before = encoder.get("n_in") if isinstance(encoder, dict) else None
    pruned = isinstance(before, int) and before > values["n"]
    return f"{values['n']:,}" + (f" (of {before:,}, the rest was pruned)" if pruned else "")


def _short(value: Any) -> str:
    """A number with four digits; anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def facts(values: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what the panel lists: label and text."""
    low, high = values["bounds"]["low"], values["bounds"]["high"]
    rows = [
        ("format", " ".join(str(v) for v in (values["format"], values["version"]) if v)),
        ("kind", str(values["kind"])),
        ("Gaussians", _count(values)),
        ("SH degree", str(values["sh_degree"])),
        ("size", f"{size(values['bytes'])} ({values['bytes']:,} bytes)"),
        ("rate", f"{values['bits_per_gaussian']:.1f} bits per Gaussian"),
        ("frame", ", ".join([str(values["frame"]), *_strings(values["flags"])])),
        ("bounds", " ".join(f"[{a:.4g}, {b:.4g}]" for a, b in zip(low, high, strict=True))),
    ]
    if values["format"] == "spk":
        rows.append(("chunks", f"{values['chunks']:,}" + (f" in {values['pages']} pages" if values["pages"] else "")))
        rows.append(("codecs", ", ".join(values["codecs"])))
        encoder = values["encoder"] if isinstance(values["encoder"], dict) else {}
        rows.append(("encoder", f"{values['generator']}, preset {encoder.get('preset')}, q {_short(encoder.get('q'))}"))
        quality = values["quality"] if isinstance(values["quality"], dict) else None
        if quality is not None:
            text = f"PSNR {quality.get('psnr_mean')} dB mean, {quality.get('psnr_min')} dB worst"
            rows.append(("quality", f"{text} of {quality.get('views')} unseen views, seed {quality.get('seed')}"))
        rows.append(("root hash", values["root_hash"]))
    rows += [("extra", f"{name} ({dtype})") for name, dtype in values.get("extras", {}).items()]
    rows += [("warning", text) for text in values.get("warnings", [])]
    return rows


command = _options.command("info", example="splatpack info scene.spk")(_run)
