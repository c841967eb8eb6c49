"""The nodes of a glTF scene: which meshes it places, and where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.errors import CorruptError
from splatpack.formats.fields import LARGEST, Fields
from splatpack.formats.gltffile import Document

Matrix = NDArray[np.float64]


def placed_meshes(document: Document) -> Iterator[tuple[int, Matrix]]:
    """Yield (mesh, world matrix, float64 (4, 4)) in the order of the default scene, or of all root nodes without one.

    Raises
    ------
    CorruptError
        A node is reached twice, does not exist, or has a transform that is none.
    """
    nodes = document.items("nodes")
    stack = [(root, np.eye(4)) for root in reversed(_roots(document, nodes))]
    seen: set[int] = set()
    while stack:
        index, parent = stack.pop()
        node = document.item("nodes", index, "scene")
        if index in seen:
            raise CorruptError(f"glTF node {index} is reached twice, expected a tree.")
        seen.add(index)
        with np.errstate(over="ignore", invalid="ignore"):
            world = parent @ _local(node, index)
        if "mesh" in node:
            document.item("meshes", node["mesh"], f"node {index}")
            yield node["mesh"], world
        stack += [(child, world) for child in reversed(_indices(node, "children"))]


def _roots(document: Document, nodes: list[Fields]) -> list[int]:
    if document.items("scenes"):
        return _indices(document.item("scenes", document.tree.get("scene", 0), "default scene"), "nodes")
    children = {child for node in nodes for child in _indices(node, "children")}
    return [i for i in range(len(nodes)) if i not in children]


def _indices(fields: Fields, key: str) -> list[int]:
    value = fields.get(key, [])
    if not isinstance(value, list) or not all(isinstance(v, int) and not isinstance(v, bool) for v in value):
        raise CorruptError(f"glTF {key}: {str(value)[:40]}, expected a list of numbers.")
    return value


def _local(node: Fields, index: int) -> Matrix:
    """Return the matrix of a node: a column-major one, or translation, rotation (x, y, z, w) and scale."""
    out = np.eye(4)
    if "matrix" in node:
        out = _floats(node["matrix"], 16, index).reshape(4, 4).T
        if not np.array_equal(out[3], (0, 0, 0, 1)):
            raise CorruptError(f"glTF node {index}: the last row of its matrix is {out[3]}, expected 0 0 0 1.")
        return out
    x, y, z, w = _floats(node.get("rotation", [0, 0, 0, 1]), 4, index)
    length = x * x + y * y + z * z + w * w
    if length < 1e-12:
        raise CorruptError(f"glTF node {index}: a rotation of length zero.")
    s = 2 / length
    out[:3, :3] = [
        [1 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y)],
        [s * (x * y + w * z), 1 - s * (x * x + z * z), s * (y * z - w * x)],
        [s * (x * z - w * y), s * (y * z + w * x), 1 - s * (x * x + y * y)],
    ]
    out[:3, :3] *= _floats(node.get("scale", [1, 1, 1]), 3, index)
    out[:3, 3] = _floats(node.get("translation", [0, 0, 0]), 3, index)
    return out


def _floats(value: Any, count: int, index: int) -> Matrix:
    real = isinstance(value, list) and all(isinstance(v, (int, float)) and abs(v) < LARGEST for v in value)
    if not real or len(value) != count:
        raise CorruptError(f"glTF node {index}: {str(value)[:60]}, expected {count} finite numbers.")
    return np.array(value, np.float64)
