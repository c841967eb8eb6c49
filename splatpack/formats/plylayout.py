"""Which property of a PLY vertex is which attribute of a Gaussian, in every variant that writers produce.

Read by name, never by order. The variants: Inria (the canonical one), gsplat (no normals), nerfstudio (``sh_coeffs`` or
``red green blue``), 2DGS (two scales), mip-splatting (``filter_3D``), and any file with further columns.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from splatpack.errors import CorruptError, UnsupportedError
from splatpack.formats.plyheader import Element, Header, Property
from splatpack.scene.gaussians import SH_COEFFICIENTS

NORMALS = ("nx", "ny", "nz")
DC = ("f_dc_0", "f_dc_1", "f_dc_2")
COLOURS = ("red", "green", "blue")
_REST = re.compile(r"f_rest_([0-9]{1,6})")
_MODE = re.compile(r"splatrendermode\s*[:=]?\s*(mip|default|2dgs)\b", re.IGNORECASE)
_ANTIALIASED = re.compile(r"antialiased\s*[:=]?\s*([01])\b", re.IGNORECASE)
_Z_UP = re.compile(r"vertical axis\s*[:=]?\s*z\b", re.IGNORECASE)


@dataclass(frozen=True)
class Slot:
    """Where one property goes: column ``column`` of the (N, width) view of attribute ``target``."""

    property: int
    target: str
    column: int


@dataclass(frozen=True)
class Layout:
    """How the rows of the vertex element become Gaussians.

    Attributes
    ----------
    slots : tuple of Slot
        One per property that is read; the target is an attribute, or ``extra:NAME``.
    coefficients : int
        SH coefficients above the constant one, per channel: 0, 3, 8 or 15.
    extras : mapping of str to numpy dtype
        Columns that are kept as they are.
    colour_scale : float or None
        What an integer colour is divided by, where the file has red, green, blue in place of ``f_dc``.
    two_scales : bool
        The third scale is not in the file (2DGS).
    surfels, antialiased, z_up : bool
        Flags of the scene.
    """

    slots: tuple[Slot, ...]
    coefficients: int
    extras: dict[str, np.dtype[np.generic]]
    colour_scale: float | None
    two_scales: bool
    surfels: bool
    antialiased: bool
    z_up: bool

    @property
    def row_bytes(self) -> int:
        """Bytes that a Gaussian takes in memory."""
        return 4 * (14 + 3 * self.coefficients) + sum(d.itemsize for d in self.extras.values())


def plan(header: Header, *, keep_normals: bool, moving: bool = False) -> tuple[Element, Layout]:
    """Return the vertex element and how to read it.

    Raises
    ------
    UnsupportedError
        The file holds something else: points, a mesh, anchors, a packed or a moving scene.
    CorruptError
        The properties contradict each other.
    """
    vertex = header.element("vertex")
    if vertex is None:
        found = ", ".join(e.name[:40] for e in header.elements[:8]) or "none"
        raise UnsupportedError(f"PLY without a vertex element (elements: {found}), expected a file of Gaussians.")
    names = {p.name: i for i, p in enumerate(vertex.properties)}
    _refuse_relatives(names, moving)
    lists = [p.name for p in vertex.properties if p.count_code is not None]
    if lists:
        raise UnsupportedError(f"PLY vertex property {lists[0]!r} is a list, expected scalars only.")
    _refuse_incomplete(header, names)
    return vertex, _layout(header, vertex.properties, names, keep_normals)


def _refuse_relatives(names: dict[str, int], moving: bool) -> None:
    """Name the kinds of file that look like a splat and are none."""
    if "packed_position" in names:
        raise UnsupportedError(
            "PlayCanvas compressed PLY (packed_position), expected plain float attributes. Read it with read_scene, "
            "or convert it first (splatpack convert)."
        )
    if any(n.startswith(("f_anchor_feat", "f_offset")) for n in names):
        raise UnsupportedError(
            "Scaffold-GS or Octree-GS anchors (f_anchor_feat, f_offset): they are decoded by MLPs (opacity_mlp.pt, "
            "cov_mlp.pt, color_mlp.pt); export explicit Gaussians first."
        )
    if not moving and ("trbf_center" in names or "motion_0" in names):
        raise UnsupportedError(
            "Spacetime Gaussians (trbf_center, motion_*): a moving scene, expected a still one. Read a frame of it "
            "with read_scene(..., time=T), or take one out first (splatpack convert --time T)."
        )


def _refuse_incomplete(header: Header, names: dict[str, int]) -> None:
    """Say what a point cloud or a mesh lacks."""
    want = ["x", "y", "z", "opacity", "scale_0", "scale_1", *(f"rot_{i}" for i in range(4))]
    missing = [n for n in want if n not in names]
    if not (set(DC) <= set(names) or set(COLOURS) <= set(names)):
        missing.append("f_dc_0..2 (or red, green, blue)")
    if not missing:
        return
    faces = header.element("face") or header.element("tristrips")
    kind = "mesh" if faces else "point cloud" if {"x", "y", "z"} <= set(names) else "table"
    raise UnsupportedError(
        f"PLY holds a {kind}, not Gaussians: vertex has no {', '.join(missing)}. Expected the properties of a trained "
        "scene (x y z, f_dc_*, opacity, scale_*, rot_*)."
    )


def _layout(header: Header, properties: list[Property], names: dict[str, int], keep_normals: bool) -> Layout:
    coefficients, rest = _sh_slots(names)
    taken = {
        "means": ["x", "y", "z"],
        "opacities": ["opacity"],
        "scales": _numbered(names, "scale_", (2, 3)),
        "quats": _numbered(names, "rot_", (4,)),
        "sh0": list(DC if set(DC) <= set(names) else COLOURS),
    }
    slots = [Slot(names[n], target, i) for target, group in taken.items() for i, n in enumerate(group)]
    slots += rest
    used = {s.property for s in slots}
    extras: dict[str, np.dtype[np.generic]] = {}
    for i, p in enumerate(properties):
        if i not in used and (keep_normals or p.name not in NORMALS):
            extras[p.name] = np.dtype("f4" if p.code == "f8" else p.code)
            slots.append(Slot(i, f"extra:{p.name}", 0))
    scale = None if taken["sh0"][0] != "red" else _colour_scale([properties[names[c]] for c in taken["sh0"]])
    antialiased, surfels, z_up = comment_flags(header.comments)
    flat = len(taken["scales"]) == 2
    ordered = tuple(sorted(slots, key=lambda s: s.property))
    return Layout(ordered, coefficients, extras, scale, flat, surfels or flat, antialiased, z_up)


def _numbered(names: dict[str, int], prefix: str, sizes: tuple[int, ...]) -> list[str]:
    """Return ``prefix0, prefix1, ...``, refusing another count than one of ``sizes``."""
    found = [n for n in names if re.fullmatch(re.escape(prefix) + "[0-9]+", n)]
    want = [f"{prefix}{i}" for i in range(len(found))]
    if set(want) != set(found) or len(found) not in sizes:
        expected = " or ".join(str(s) for s in sizes)
        raise CorruptError(f"PLY vertex has {', '.join(sorted(found)[:8])}, expected {expected} of {prefix}0, 1, ...")
    return want


def _sh_slots(names: dict[str, int]) -> tuple[int, list[Slot]]:
    """Slots of ``f_rest_i``: channel-major in the file (i = c * K + k), coefficient-major in memory (k * 3 + c)."""
    found = {int(m.group(1)): i for n, i in names.items() if (m := _REST.fullmatch(n))}
    spelled = sum(1 for n in names if n.startswith("f_rest"))
    count = len(found)
    if spelled != count or sorted(found) != list(range(count)):
        raise CorruptError(
            f"PLY vertex: {spelled} f_rest properties with holes or odd names, expected f_rest_0, 1, ..."
        )
    if count == 72:
        raise UnsupportedError("SH degree 4 (72 f_rest properties), this version reads 0 to 3.")
    if count % 3 or count // 3 not in SH_COEFFICIENTS:
        raise CorruptError(f"PLY vertex has {count} f_rest properties, expected 0, 9, 24 or 45 (SH degree 0 to 3).")
    k = count // 3
    return k, [Slot(found[c * k + j], "shN", j * 3 + c) for c in range(3) for j in range(k)]


def _colour_scale(properties: list[Property]) -> float:
    codes = {p.code for p in properties}
    scale = {"u1": 255.0, "u2": 65535.0, "f4": 1.0, "f8": 1.0}.get(codes.pop() if len(codes) == 1 else "")
    if scale is None:
        raise UnsupportedError("PLY red, green, blue: expected all of type uchar, ushort, or float in [0, 1].")
    return scale


def comment_flags(comments: list[str]) -> tuple[bool, bool, bool]:
    """Return (antialiased, surfels, z_up) from the comments; the last one that speaks wins."""
    antialiased = surfels = z_up = False
    for text in comments:
        if match := _MODE.search(text):
            mode = match.group(1).lower()
            antialiased, surfels = mode == "mip", mode == "2dgs"
        elif match := _ANTIALIASED.search(text):
            antialiased = match.group(1) == "1"
        elif _Z_UP.search(text):
            z_up = True
    return antialiased, surfels, z_up
