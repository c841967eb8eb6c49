"""glTF 2.0 with ``KHR_gaussian_splatting``: reading. Writing is in ``gltfwrite``.

Layout: Khronos ``KHR_gaussian_splatting`` and the draft of its SPZ compression, whose older names are read too. Every
implementation of the latter takes the numbers of the SPZ for those of the glTF; so does this one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from splatpack.errors import CorruptError, UnsupportedError
from splatpack.formats.blocks import empty_scene_arrays, row_bytes
from splatpack.formats.fields import Fields, objects
from splatpack.formats.gltfaccessor import accessor_count, read_accessor
from splatpack.formats.gltffile import Document, open_gltf
from splatpack.formats.gltfnodes import placed_meshes
from splatpack.formats.gltfwrite import ALSO_SPZ, BASE, PREFIX, SPZ, SPZ_2, write_gltf
from splatpack.formats.linear import in_place, joined, log_of, logit_of
from splatpack.formats.placement import placement
from splatpack.formats.spz import decode_spz
from splatpack.limits import Limits
from splatpack.scene.gaussians import C0, SH_COEFFICIENTS, Gaussians
from splatpack.scene.validate import normalise_quats

__all__ = ["read_gltf", "write_gltf"]

_COMPRESSIONS = (SPZ_2, SPZ, ALSO_SPZ)
_UNDERSTOOD = {BASE, *_COMPRESSIONS, "KHR_mesh_quantization"}
_DISPLAY = "srgb_rec709_display"


@dataclass(frozen=True)
class _Cloud:
    """A primitive of splats: its JSON, the accessors of its attributes, and how it is compressed."""

    fields: Fields
    attributes: Fields
    compressed: Fields | None
    world: Any
    what: str


def read_gltf(path: str | os.PathLike[str], *, limits: Limits | None = None, normalise: bool = True) -> Gaussians:
    """Read the splats that the default scene of a ``.glb`` or ``.gltf`` places. Safe on untrusted input.

    Buffers are the binary chunk, ``data:`` references, or files in the folder of the asset; nothing is fetched.
    Memory: the file, and the columns once; twice where several clouds are joined or a node moves one.

    Parameters
    ----------
    path : path-like
        A regular file.
    limits : Limits, optional
        What the files may make us allocate. Default: ``Limits()``.
    normalise : bool
        Make the quats unit length. False leaves them as stored.

    Returns
    -------
    Gaussians
        In frame ``luf``, nodes applied; clouds of different SH degrees are filled up with zeros. What else the file
        holds is in the ``notes`` of ``metadata["source"]``. A scale that is not positive has no logarithm: zero becomes
        -inf, less becomes NaN, for :func:`splatpack.scene.validate.validate` to find.

    Raises
    ------
    CorruptError, TruncatedError
        The file breaks a rule of the format, or a reference leads nowhere.
    UnsupportedError
        Nothing in it is a splat; a kernel, extension or transform that is not read.
    LimitError, StorageError
        Too large for ``limits``; a file cannot be read.
    """
    document = open_gltf(path, limits or Limits())
    _check_extensions(document)
    notes: list[str] = []
    clouds = list(_clouds(document, notes))
    if not clouds:
        raise UnsupportedError(f"glTF: no primitive with {BASE}, expected splats. A mesh or a point cloud is not read.")
    parts = [_read_cloud(document, cloud, notes, normalise) for cloud in clouds]
    scene = joined(parts, document.budget, "glTF")
    source: dict[str, Any] = {"format": "gltf"} | ({"notes": list(dict.fromkeys(notes))} if notes else {})
    return replace(scene, frame="luf", metadata={"source": source})


def _check_extensions(document: Document) -> None:
    required = document.tree.get("extensionsRequired", [])
    if not isinstance(required, list):
        raise CorruptError(f"glTF extensionsRequired: {str(required)[:40]}, expected a list.")
    unknown = [str(name)[:60] for name in required if name not in _UNDERSTOOD]
    if unknown:
        raise UnsupportedError(f"glTF requires {', '.join(unknown[:4])}, which this version does not read.")


def _clouds(document: Document, notes: list[str]) -> Iterator[_Cloud]:
    """Yield the primitives of splats that the scene places; note what else it places."""
    others = 0
    for mesh, world in placed_meshes(document):
        for i, fields in enumerate(objects(document.item("meshes", mesh, "scene"), "primitives", f"glTF mesh {mesh}")):
            what = f"mesh {mesh} primitive {i}"
            extensions = _object(fields.get("extensions", {}), what)
            base = extensions.get(BASE, {} if ALSO_SPZ in extensions else None)
            if base is None:
                others += 1
                continue
            base = _object(base, what)
            _check_kind(base, what, notes)
            inner = _object(base.get("extensions", {}), what) | extensions
            name = next((n for n in _COMPRESSIONS if n in inner), None)
            compressed = _object(inner[name], what) if name else None
            yield _Cloud(fields, _object(fields.get("attributes"), what), compressed, world, what)
    if others:
        notes.append(f"{others} primitives that are no splats left out.")


def _object(value: object, what: str) -> Fields:
    if not isinstance(value, dict):
        raise CorruptError(f"glTF {what}: {str(value)[:40]}, expected an object.")
    return value


def _check_kind(base: Fields, what: str, notes: list[str]) -> None:
    """Refuse another kernel; note colours that are not for display. Drafts had neither key."""
    kernel, space = base.get("kernel", "ellipse"), base.get("colorSpace", _DISPLAY)
    if kernel != "ellipse":
        raise UnsupportedError(f"glTF {what}: kernel {str(kernel)[:40]!r}, this version reads 'ellipse'.")
    if space != _DISPLAY:
        notes.append(f"colours are of space {str(space)[:40]!r}, not turned into {_DISPLAY}: they look too dark.")


def _read_cloud(document: Document, cloud: _Cloud, notes: list[str], normalise: bool) -> Gaussians:
    """Read one cloud and put it where its node is."""
    place = placement(cloud.world, f"glTF {cloud.what}")
    if cloud.compressed is not None:
        data, _ = document.view(cloud.compressed.get("bufferView"), cloud.what)
        scene = decode_spz(bytes(data), document.budget, normalise=normalise)
        notes += scene.metadata["source"].get("notes", [])
    else:
        scene = _read_attributes(document, cloud, normalise)
    if not place.identity:
        document.budget.debit(len(scene) * row_bytes(scene.sh_degree), f"glTF {cloud.what}, moved")
    return place.of(scene)


def _read_attributes(document: Document, cloud: _Cloud, normalise: bool) -> Gaussians:
    """Read the accessors of a cloud, each into its columns."""
    names, what = cloud.attributes, cloud.what

    def index(name: str) -> object:
        found = names.get(PREFIX + name, names.get("_" + name))
        if found is None:
            raise CorruptError(f"glTF {what}: no attribute {PREFIX}{name}.")
        return found

    n = accessor_count(document, names.get("POSITION"), f"{what} POSITION")
    document.budget.count(n, document.budget.gaussians, f"glTF {what}")
    degree = _degree(names, what)
    document.budget.debit(n * row_bytes(degree), f"glTF {what} of {n:,} Gaussians")
    arrays = empty_scene_arrays(n, degree)
    read_accessor(document, names["POSITION"], arrays["means"], f"{what} POSITION")
    read_accessor(document, index("ROTATION"), arrays["quats"], f"{what} ROTATION")
    in_place(arrays["quats"], lambda q: q[:, (3, 0, 1, 2)])
    read_accessor(document, index("SCALE"), arrays["scales"], f"{what} SCALE")
    in_place(arrays["scales"], log_of)
    if PREFIX + "SH_DEGREE_0_COEF_0" in names:
        read_accessor(document, index("OPACITY"), arrays["opacities"][:, None], f"{what} OPACITY")
        read_accessor(document, index("SH_DEGREE_0_COEF_0"), arrays["sh0"][:, 0], f"{what} SH_DEGREE_0_COEF_0")
    else:
        _draft_colours(document, cloud, arrays)
    in_place(arrays["opacities"], logit_of)
    at = 0
    for band in range(1, degree + 1):
        for c in range(2 * band + 1):
            name = f"SH_DEGREE_{band}_COEF_{c}"
            read_accessor(document, index(name), arrays["shN"][:, at], f"{what} {name}")
            at += 1
    if normalise:
        normalise_quats(arrays["quats"])
    return Gaussians(**arrays, frame="luf")


def _draft_colours(document: Document, cloud: _Cloud, arrays: dict[str, Any]) -> None:
    """Drafts of the extension had colour and alpha in COLOR_0, as display colours."""
    n, what = len(arrays["means"]), f"{cloud.what} COLOR_0"
    if "COLOR_0" not in cloud.attributes:
        raise CorruptError(f"glTF {cloud.what}: no attribute {PREFIX}SH_DEGREE_0_COEF_0.")
    document.budget.debit(16 * n, f"glTF {what}")
    rgba = np.empty((n, 4), np.float32)
    read_accessor(document, cloud.attributes["COLOR_0"], rgba, what)
    arrays["sh0"][:, 0] = (rgba[:, :3] - np.float32(0.5)) / np.float32(C0)
    arrays["opacities"][:] = rgba[:, 3]


def _degree(names: Fields, what: str) -> int:
    """Return the highest band that has a coefficient; that all below are complete shows when they are read."""
    starts = [f"{prefix}SH_DEGREE_" for prefix in (PREFIX, "_")]
    bands = {name.removeprefix(start)[:1] for name in names for start in starts if name.startswith(start)}
    highest = max((int(b) for b in bands if b.isdecimal()), default=0)
    if highest >= len(SH_COEFFICIENTS):
        raise UnsupportedError(f"glTF {what}: SH of degree {highest}, this version reads 0 to 3.")
    return highest
