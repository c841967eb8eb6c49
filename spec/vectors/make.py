"""Make the test vectors: `python spec/vectors/make.py`. The same library gives the same bytes.

good/         files that every reader must accept, each with the arrays that it decodes to (.npz)
bad/          files that every reader must refuse as corrupt; all but the first few have right checksums
unsupported/  well-formed files that a reader of format 1.2 must refuse as unsupported
manifest.json name, sha256, what is expected and why
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

from splatpack.codecs import defaults, model  # noqa: E402
from splatpack.container import meta as metadata  # noqa: E402
from splatpack.container import writer as container_writer  # noqa: E402
from splatpack.container.layout import LEVELS, Header  # noqa: E402
from splatpack.container.reader import ContainerReader  # noqa: E402
from splatpack.container.source import MemorySource  # noqa: E402
from splatpack.container.writer import ContainerWriter, rewrite  # noqa: E402
from splatpack.pack.decode import decode  # noqa: E402
from splatpack.pack.encode import encode  # noqa: E402
from splatpack.pack.presets import settings  # noqa: E402
from splatpack.scene.gaussians import ATTRIBUTES, Gaussians  # noqa: E402
from tests import synth  # noqa: E402
from tests.test_container.build import patched_column, patched_header, reseal  # noqa: E402

Fit = Callable[[Any, defaults.Kind], model.Model]


def own_tables(counts: Any, kind: defaults.Kind) -> model.Model:
    """A model as in section 4 of rans.md."""
    return model.fit(counts, kind.groups)


def all_default(number: int) -> Fit:
    """A model by parts, all of them with the same default."""
    return lambda _, kind: defaults.assemble(kind, (number,) * len(kind.parts), None)


def mixed(counts: Any, kind: defaults.Kind) -> model.Model:
    """A model by parts, each third with own tables, the others with defaults of all numbers."""
    choices = tuple(part % 9 if part % 3 else 0 for part in range(len(kind.parts)))
    rows = [r for (a, b), c in zip(kind.parts, choices, strict=True) for r in range(a, b) if c == 0]
    return defaults.assemble(kind, choices, model.fit(counts[rows]))


def make(scene: Gaussians, preset: str = "high", fit: Fit = own_tables, **changes: Any) -> bytes:
    """Encode a scene with a fixed, random importance, and entropy models that ``fit`` makes."""
    out = io.BytesIO()
    weights = np.random.default_rng(7).lognormal(0.0, 2.0, len(scene))
    with patch.object(defaults, "fit", fit):
        encode(scene, out, settings(preset, **{"refine": 0, **changes}), weights=weights)
    return out.getvalue()


def opened(data: bytes) -> ContainerReader:
    """Open bytes."""
    return ContainerReader(MemorySource(data))


def packed(data: bytes) -> bytes:
    """Pack the metadata of a file."""
    reader, out = opened(data), io.BytesIO()
    with patch.object(container_writer, "WORTHWHILE", 1 << 30):
        rewrite(reader, reader.meta, out)
    return out.getvalue()


Edit = Callable[[int, int, bytes], bytes]


def rebuilt(
    data: bytes, edit: Edit | None = None, meta: Callable[[dict[str, Any]], None] | None = None,
    tables: Callable[[bytes], bytes] | None = None, level: int = 0, **entry: Any,
) -> bytes:  # fmt: skip
    """Take a file apart, change sections, metadata, tables or entries, and put it together with right checksums."""
    reader = opened(data)
    m = reader.meta
    if meta is not None:
        meta(m)
    out = io.BytesIO()
    with ContainerWriter() as writer:
        for i, c in enumerate(reader.chunks):
            parts = [(s.kind, reader.section(c, s.kind) or b"") for s in c.sections]
            if edit is not None:
                parts = [(kind, edit(i, kind, body)) for kind, body in parts]
            values: dict[str, Any] = {
                "count": c.count, "low": c.low, "high": c.high, "reach": c.reach, "level": level, "profile": c.profile,
            }  # fmt: skip
            writer.add(parts, **{**values, **entry})
        stored = tables(reader.tables) if tables else reader.tables
        writer.finish(m, stored, out, required=reader.header.required)
    return out.getvalue()


def two_levels() -> bytes:
    """A coarse level of SH degree 0 in a profile of its own, then the fine one of degree 2."""
    fine, coarse = opened(make(synth.scene(200, 2, seed=21))), opened(make(synth.scene(30, 0, seed=22), q=1.0))
    out = io.BytesIO()
    with ContainerWriter() as writer:
        for reader, level, profile in ((coarse, 1, 0), (fine, 0, 1)):
            for c in reader.chunks:
                parts = [(s.kind, reader.section(c, s.kind) or b"") for s in c.sections]
                writer.add(
                    parts, count=c.count, low=c.low, high=c.high, reach=c.reach, level=level, profile=profile,
                    error=0.25 * level, gain=1.0 + level,
                )  # fmt: skip
        m = fine.meta
        m["profiles"] = [*coarse.meta["profiles"], *m["profiles"]]
        m["n"] = 230
        writer.finish(m, coarse.tables + fine.tables, out)
    return out.getvalue()


def tree(
    parents: tuple[int, ...] = (-1, 0, 0, 2, 2, 1), successors: tuple[int, ...] = (2, 0, 2, 0, 0, 0),
    coarseness: tuple[int, ...] = (2, 1, 1, 0, 0, 0),
) -> bytes:  # fmt: skip
    """The example of section 5.3 of format.md, or other parents, successors and levels."""
    reader = opened(make(synth.scene(256 * len(parents), 1, seed=24), chunk=256))
    out = io.BytesIO()
    with ContainerWriter() as writer:
        for c, parent, count, level in zip(reader.chunks, parents, successors, coarseness, strict=False):
            parts = [(s.kind, reader.section(c, s.kind) or b"") for s in c.sections]
            writer.add(
                parts, count=c.count, low=c.low, high=c.high, reach=c.reach, level=level, error=0.5 * level,
                gain=1.0 + level, parent=parent, successors=count,
            )  # fmt: skip
        m = reader.meta
        m["n"] = sum(c.count for c in reader.chunks[: len(parents)])
        writer.finish(m, reader.tables, out, required=reader.header.required | LEVELS)
    return out.getvalue()


def paged_tree() -> bytes:
    """Leaf pages in a file with levels: a stand-in, then 600 chunks that replace it."""
    reader = opened(make(synth.scene(3, 0, seed=25)))
    (c,) = reader.chunks
    out = io.BytesIO()
    with ContainerWriter() as writer:
        for i in range(601):
            parts = [(s.kind, reader.section(c, s.kind) or b"") for s in c.sections]
            writer.add(
                parts, count=3, low=c.low, high=c.high, reach=c.reach, level=i == 0, parent=0 if i else -1,
                successors=0 if i else 600,
            )  # fmt: skip
        m = reader.meta
        m["n"] = 1803
        writer.finish(m, reader.tables, out, required=LEVELS)
    return out.getvalue()


def paged() -> bytes:
    """So many chunks that the root page is an index: each chunk of a small file again and again."""
    reader = opened(make(synth.scene(3, 0, seed=23)))
    (c,) = reader.chunks
    out = io.BytesIO()
    with ContainerWriter() as writer:
        for _ in range(600):
            parts = [(s.kind, reader.section(c, s.kind) or b"") for s in c.sections]
            writer.add(parts, count=3, low=c.low, high=c.high, reach=c.reach)
        m = reader.meta
        m["n"] = 1800
        writer.finish(m, reader.tables, out)
    return out.getvalue()


def with_extras(scene: Gaussians) -> Gaussians:
    """Add columns of several dtypes and shapes."""
    rng, n = np.random.default_rng(3), len(scene)
    extras: dict[str, Any] = {
        "label": (np.arange(n) // 9).astype(np.int32),
        "flag": rng.integers(0, 2, n).astype(np.uint8),
        "time": np.sort(rng.normal(size=n)).astype(np.float32),
        "motion": rng.normal(size=(n, 3)).astype(np.float32),
        "big": rng.integers(-(2**62), 2**62, n),
        "short": rng.integers(-300, 300, n).astype(np.int16),
        "constant": np.full(n, 2.5, np.float32),
    }
    return replace(scene, extras=extras)


def clones(seed: int, degree: int = 1) -> Gaussians:
    """Rotations of unit length, and Gaussians that stand twice: the columns go through `floats`."""
    scene = synth.scene(300, degree, seed=seed)
    norm = np.sqrt((scene.quats.astype(np.float64) ** 2).sum(axis=1, keepdims=True))
    scene = replace(scene, quats=(scene.quats / norm).astype(np.float32))
    return scene.take(np.arange(400) % 300)


def halves(scene: Gaussians) -> Gaussians:
    """Numbers that 16-bit floats hold."""
    half = {name: getattr(scene, name).astype(np.float16).astype(np.float32) for name in ATTRIBUTES}
    return replace(scene, **half)


def good() -> dict[str, tuple[bytes, str]]:
    """Name to (file, what it shows)."""
    everything = ATTRIBUTES
    outlier = synth.scene(60, 1, seed=9)
    outlier.means[0] = (1e5, -2e5, 3.0)
    empty = synth.scene(50, 3, seed=10)
    empty = replace(empty, shN=np.zeros_like(empty.shN))
    plain = make(synth.scene(40, 1, seed=11))
    surfels = replace(
        synth.scene(40, 0, seed=12), frame="rub", antialiased=True, surfels=True, metadata={"format": "x"}
    )
    newer = patched_header(patched_header(plain, 10, struct.pack("<H", 7)), 24, struct.pack("<Q", 1 << 33))
    return {
        "one-sh0": (make(synth.scene(1, 0, seed=1)), "one Gaussian"),
        "one-sh3": (make(synth.scene(1, 3, seed=1)), "one Gaussian with SH"),
        "sh0": (make(synth.scene(100, 0, seed=2)), "SH degree 0"),
        "sh1": (make(synth.scene(64, 1, seed=3)), "SH degree 1, full rows"),
        "sh2": (make(synth.scene(33, 2, seed=4)), "SH degree 2, a row of one"),
        "sh3": (make(synth.scene(100, 3, seed=5)), "SH degree 3"),
        "chunks": (make(synth.scene(700, 3, seed=6), chunk=256), "several chunks"),
        "coarse": (make(synth.scene(100, 2, seed=7), "small"), "large steps, pruned"),
        "fine": (make(synth.scene(60, 2, seed=8), q=0.01), "small steps: tokens with raw bits everywhere"),
        "outlier": (make(outlier), "positions far from the core: large Morton steps"),
        "empty-bands": (make(empty), "SH bands that are zero"),
        "lossless": (make(synth.scene(80, 1, seed=13), exact=everything), "every attribute exact, no splat codec"),
        "lossless-clones": (
            make(clones(seed=26), exact=everything), "floats: copied rows, unit rotations, low bytes raw",
        ),
        "lossless-short": (make(halves(clones(seed=27, degree=0)), exact=everything), "floats: low bytes coded"),
        "lossless-order": (
            make(with_extras(synth.scene(80, 0, seed=14)), exact=everything, keep_order=True),
            "extra columns, order kept",
        ),
        "exact-means": (make(synth.scene(80, 1, seed=15), exact=("means",)), "positions in a column"),
        "exact-scales": (make(synth.scene(80, 0, seed=16), exact=("scales",)), "scales in a column"),
        "exact-quats": (make(synth.scene(80, 0, seed=17), exact=("quats",)), "quats in a column: scales unsorted"),
        "exact-shN": (make(synth.scene(80, 2, seed=18), exact=("shN",)), "SH in a column: classes unused"),
        "only-sh": (make(synth.scene(80, 2, seed=18), exact=everything[:5]), "only SH through the splat codec"),
        "max-error": (
            make(synth.scene(80, 0, seed=19), max_error={"means": 1e-3, "opacities": 0.01}), "error-bounded columns",
        ),
        "extras": (make(with_extras(synth.scene(300, 0, seed=20))), "extra columns beside the splat codec"),
        "levels": (two_levels(), "two levels, two profiles of different SH degree, error and gain"),
        "paged": (paged(), "an index page and two leaf pages"),
        "tree": (tree(), "levels of detail: the example of section 5.3"),
        "tree-part": (tree((-1, 0, 0, 2), (2, 0, 2, 0), (2, 1, 1, 0)), "a stand-in one of whose successors is missing"),
        "tree-roots": (tree((-1, -1, 1), (0, 1, 0), (0, 3, 3)), "two roots, successors of the same level"),
        "tree-paged": (paged_tree(), "levels of detail over two leaf pages"),
        "flags": (make(surfels), "frame, flags, source"),
        "newer-minor": (newer, "a later minor version and an unknown optional feature"),
        **{
            f"default-{k}": (make(synth.scene(40, 3, seed=50 + k), fit=all_default(k)), f"default models number {k}")
            for k in range(1, 9)
        },
        "default-mixed": (make(synth.scene(300, 3, seed=59), fit=mixed), "models by parts, some with own tables"),
        "default-chosen": (make(synth.scene(300, 3, seed=60), fit=defaults.fit), "models as the library chooses them"),
        "packed": (packed(make(synth.scene(40, 1, seed=61), fit=defaults.fit)), "packed metadata"),
        "packed-lossless": (
            packed(make(with_extras(synth.scene(40, 0, seed=62)), exact=everything)), "packed metadata of many columns",
        ),
    }  # fmt: skip


def _profile(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    return lambda m: change(m["profiles"][0])


def _set(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda m: m.update({key: value})


def _splat(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return _profile(lambda p: p["splat"].update({key: value}))


def _patch(kind: int, at: int, value: bytes) -> Edit:
    return lambda i, k, body: body[:at] + value + body[at + len(value) :] if k == kind and i == 0 else body


def _grow(kind: int, extra: bytes) -> Edit:
    return lambda i, k, body: body + extra if k == kind else body


def _cut(kind: int, n: int) -> Edit:
    return lambda i, k, body: body[:-n] if k == kind else body


def bad() -> dict[str, tuple[bytes, str]]:
    """Name to (file, the rule it breaks)."""
    a = make(synth.scene(60, 1, seed=31))
    two = make(synth.scene(600, 0, seed=32), chunk=256)
    exact = make(synth.scene(60, 0, seed=33), exact=("means",))
    clone = make(clones(seed=34, degree=0), exact=("quats",))
    parts = make(synth.scene(40, 0, seed=35), fit=all_default(1))
    pages = paged()
    small = packed(a)
    short = small[Header.unpack(small[:128]).meta_offset : Header.unpack(small[:128]).tables_offset]
    flipped = bytearray(a)
    flipped[len(a) - 60] ^= 16
    u32 = struct.Struct("<I")
    meta_bytes = a[Header.unpack(a[:128]).meta_offset : Header.unpack(a[:128]).tables_offset]
    duplicate = b"\x82\xa1n\x01\xa1n\x01"
    return {
        "signature": (b"\x89SPK\n\x1a\n\n" + a[8:], "signature"),
        "empty": (b"", "no bytes"),
        "truncated": (a[:-1], "one byte short"),
        "trailing": (a + b"\0", "one byte long"),
        "flip": (bytes(flipped), "a flipped bit in a chunk"),
        "header-crc": (a[:124] + b"\0\0\0\0" + a[128:], "header crc32"),
        "header-reserved": (patched_header(a, 13, b"\1"), "reserved byte set"),
        "root-length": (patched_header(a, 40, u32.pack(2**31)), "root page of 2^31 bytes"),
        "file-length": (patched_header(a, 32, struct.pack("<Q", 2**63)), "file length 2^63"),
        "root-hash": (patched_header(a, 64, b"\0" * 16), "root page hash"),
        "no-chunks": (reseal(a[: Header.unpack(a[:128]).data_offset], root=_empty_root(a)), "no chunks"),
        "count-zero": (patched_column(a, 2, u32.pack(0)), "a chunk of 0 Gaussians"),
        "count-huge": (patched_column(a, 2, u32.pack(2**32 - 1)), "a chunk of 2^32 - 1 Gaussians"),
        "count-wrong": (rebuilt(a, count=59), "counts that do not sum to n"),
        "overlap": (patched_column(two, 1, u32.pack(opened(two).chunks[0].length - 1)), "chunks that overlap"),
        "level": (patched_column(a, 3, b"\x20"), "level 32"),
        "profile": (rebuilt(a, profile=1), "a profile that does not exist"),
        "bounds-nan": (patched_column(a, 5, struct.pack("<f", float("nan"))), "a bound that is NaN"),
        "bounds-order": (patched_column(a, 5, struct.pack("<f", 1e9)), "low above high"),
        "section-order": (patched_column(a, 10, b"\1\0"), "section kinds that descend"),
        "section-crc": (patched_column(a, 12, b"\0\0\0\0"), "section crc32"),
        "chunk-hash": (patched_column(a, 8, b"\0" * 16), "chunk hash"),
        "page-hash": (patched_column(pages, 8, b"\0" * 16), "leaf page hash"),
        "page-count": (patched_column(pages, 21, u32.pack(511)), "an index entry that disagrees with its page"),
        "meta-duplicate": (reseal(a, meta=duplicate), "duplicate keys"),
        "meta-nan": (rebuilt_raw_meta(a, b"\xcb\x7f\xf8" + b"\0" * 6), "a NaN"),
        "meta-binary": (rebuilt_raw_meta(a, b"\xc4\x01x"), "a binary value"),
        "meta-trailing": (reseal(a, meta=meta_bytes + b"\0"), "bytes behind the map"),
        "n-wrong": (rebuilt(a, meta=_set("n", 61)), "n"),
        "degree": (rebuilt(a, meta=_set("sh_degree", 4)), "SH degree 4"),
        "frame": (rebuilt(a, meta=_set("frame", "xyz")), "an unknown frame"),
        "step-zero": (rebuilt(a, meta=_splat("scale", [0] * 8)), "a step of 0"),
        "step-missing": (rebuilt(a, meta=_splat("sh", [5] * 7)), "a table of 7"),
        "cell": (rebuilt(a, meta=_splat("lattice", [0.0, 0.0, 0.0, 0.0])), "a lattice cell of 0"),
        "attribute-missing": (rebuilt(a, meta=_splat("attributes", ["means", "scales", "quats"])), "no opacities, sh0"),
        "profile-key": (rebuilt(a, meta=_profile(lambda p: p.update({"x": 1}))), "an unknown key in a profile"),
        "pipeline": (
            rebuilt(exact, meta=_profile(lambda p: p["columns"][0].update({"pipeline": [{"id": "zstd"}]}))),
            "a pipeline without serializer",
        ),
        "pipeline-order": (
            rebuilt(exact, meta=_profile(lambda p: p["columns"][0]["pipeline"].insert(0, {"id": "delta"}))),
            "a delta before the first transform",
        ),
        "pipeline-components": (
            rebuilt(exact, meta=_profile(lambda p: p["columns"][0]["pipeline"][-2].update({"components": 4}))),
            "byte planes of another number of components",
        ),
        "splat-empty": (
            rebuilt(exact, meta=_splat("attributes", [])), "splat parameters with attributes missing",
        ),
        "tree-parent": (patched_column(tree(), 13, u32.pack(1)), "a chunk that is its own parent"),
        "tree-forward": (patched_column(tree(), 13, u32.pack(0) + u32.pack(3)), "a parent behind its child"),
        "tree-beyond": (patched_column(tree(), 13, u32.pack(2**32 - 1)), "a parent that does not exist"),
        "tree-finer": (patched_column(tree(), 3, b"\2\1\3"), "a chunk that is coarser than its parent"),
        "tree-successors": (patched_column(tree(), 14, u32.pack(1)), "more successors than declared"),
        "tree-columns": (patched_header(a, 16, b"\4"), "required feature 2, but no parents"),
        "page-box": (patched_column(pages, 5, struct.pack("<f", -1e6)), "an index entry with another box"),
        "page-reach": (patched_column(pages, 7, struct.pack("<f", 1e-6)), "an index entry with a smaller reach"),
        "page-level": (patched_column(pages, 3, b"\x01"), "an index entry with another level"),
        "tables-long": (rebuilt(a, tables=lambda t: t + b"\0"), "tables with a byte left over"),
        "tables-short": (rebuilt(a, tables=lambda t: t[:-1]), "tables one byte short"),
        "tables-count": (rebuilt(a, tables=lambda t: t[:4] + b"\xff" + t[5:]), "255 entropy tables"),
        "parts-feature": (patched_header(parts, 16, b"\0"), "a model by parts without the required feature"),
        "parts-padding": (rebuilt(parts, tables=lambda t: t[:-1] + b"\x11"), "choices padded with a bit that is set"),
        "parts-short": (rebuilt(parts, tables=lambda t: b"\6" + t[1:-1]), "choices one byte short"),
        "parts-long": (rebuilt(parts, tables=lambda t: b"\x08" + t[1:] + b"\0"), "a byte behind the choices"),
        "parts-own": (rebuilt(parts, tables=lambda t: t[:-1] + b"\0"), "a part with own tables, which are missing"),
        "packed-feature": (patched_header(small, 16, b"\0"), "packed metadata without the required feature"),
        "packed-plain": (patched_header(a, 16, b"\2"), "plain metadata with the required feature"),
        "packed-trailing": (reseal(small, meta=short + b"\0"), "a byte behind packed metadata"),
        "packed-short": (reseal(small, meta=short[:-1]), "packed metadata one byte short"),
        "packed-bomb": (reseal(small, meta=metadata.deflate(bytes(1 << 24))), "packed metadata of 16 MiB"),
        "packed-garbage": (
            reseal(small, meta=zlib.compress(metadata.pack(opened(small).meta), wbits=-15)[:-4] + b"\xff" * 4),
            "packed metadata that are not DEFLATE",
        ),
        "stream-state": (rebuilt(a, _patch(0, 16, b"\0\0\0\0")), "an initial rANS state below 2^16"),
        "stream-words": (rebuilt(a, _patch(0, 8, u32.pack(2**31))), "2^31 words"),
        "stream-long": (rebuilt(a, _grow(0, b"\0")), "a byte behind a stream"),
        "stream-short": (rebuilt(a, _cut(1, 2)), "a stream two bytes short"),
        "stream-damaged": (rebuilt(a, _patch(0, 200, b"\xa5\x5a\x11")), "words that do not end at state 2^16"),
        "morton": (rebuilt(a, _patch(0, 0, b"\xff" * 8)), "a Morton code outside the lattice"),
        "box": (rebuilt(a, low=(50.0, 50.0, 50.0), high=(51.0, 51.0, 51.0)), "centres outside the box"),
        "column-short": (rebuilt(exact, _cut(2, 1)), "a column section one byte short"),
        "column-length": (rebuilt(exact, _patch(2, 0, u32.pack(2**31))), "a column of 2^31 bytes"),
        "floats-chain": (
            rebuilt(clone, meta=_profile(lambda p: p["columns"][0]["pipeline"].append({"id": "zstd"}))),
            "a compressor behind floats",
        ),
        "floats-flags": (rebuilt(clone, _patch(2, 4, b"\x0b")), "an unknown flag of floats"),
        "floats-rows": (rebuilt(clone, _patch(2, 12, u32.pack(299))), "fewer rows than the copies leave"),
        "floats-base": (rebuilt(clone, _patch(2, 20, b"\0")), "a base of 0"),
        "floats-unit": (rebuilt(clone, _patch(2, 4, b"\x01")), "components in another order than they were coded in"),
    }  # fmt: skip


def _empty_root(data: bytes) -> bytes:
    root = data[128 : Header.unpack(data[:128]).meta_offset]
    columns, at = b"", 16
    for _ in range(root[1]):
        columns += root[at : at + 1] + b"\0" * 7
        at += 8 + struct.unpack_from("<I", root, at + 4)[0]
    return root[:4] + b"\0\0\0\0" + struct.pack("<Q", 0) + columns


def rebuilt_raw_meta(data: bytes, value: bytes) -> bytes:
    """Replace the generator string of the metadata by a raw msgpack value."""
    reader = opened(data)
    packed = metadata.pack(reader.meta)
    text = metadata.pack({"generator": reader.meta["generator"]})[1:]
    return reseal(data, meta=packed.replace(text, b"\xa9generator" + value))


def unsupported() -> dict[str, tuple[bytes, str]]:
    """Name to (file, what this version does not know)."""
    a = make(synth.scene(40, 0, seed=41))
    exact = make(synth.scene(40, 0, seed=42), exact=("means",))
    parts = make(synth.scene(40, 0, seed=43), fit=all_default(1))
    root = bytearray(a[128 : Header.unpack(a[:128]).meta_offset])
    root[1] += 1
    column = bytes(root) + struct.pack("<BxxxI", 99, 1) + b"x"
    codec = _profile(lambda p: p["columns"][0]["pipeline"].append({"id": "brotli"}))
    return {
        "major": (patched_header(a, 8, struct.pack("<H", 2)), "major version 2"),
        "feature": (patched_header(a, 16, struct.pack("<Q", 1 << 5)), "required feature 5"),
        "field": (patched_header(a, 12, b"\2"), "a radiance field"),
        "sequence": (patched_header(a, 12, b"\3"), "a sequence"),
        "kind": (patched_header(a, 12, b"\x09"), "an unknown kind"),
        "codec": (rebuilt(exact, meta=codec), "an unknown codec"),
        "default": (rebuilt(parts, tables=lambda t: t[:-1] + b"\x09"), "default model 9"),
        "tree-feature": (patched_header(tree(), 16, b"\0"), "parents without required feature 2"),
        "column": (reseal(a, root=column), "an unknown required directory column"),
    }


def main() -> None:
    """Write all vectors and the manifest. Metadata are plain where nothing else is said."""
    container_writer.WORTHWHILE = 0
    manifest: list[dict[str, Any]] = []
    for folder, expect, files in (
        ("good", "ok", good()),
        ("bad", "corrupt", bad()),
        ("unsupported", "unsupported", unsupported()),
    ):
        target = HERE / folder
        target.mkdir(exist_ok=True)
        for old in target.iterdir():
            old.unlink()
        for name, (data, why) in files.items():
            (target / f"{name}.spk").write_bytes(data)
            digest = hashlib.sha256(data).hexdigest()
            manifest.append({"file": f"{folder}/{name}.spk", "sha256": digest, "expect": expect, "why": why})
            if expect == "ok":
                scene = decode(opened(data))
                arrays: dict[str, Any] = {a: getattr(scene, a) for a in ATTRIBUTES}
                arrays.update({f"extra_{k}": v for k, v in scene.extras.items()})
                np.savez_compressed(target / f"{name}.npz", **arrays)
    (HERE / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")


if __name__ == "__main__":
    main()
