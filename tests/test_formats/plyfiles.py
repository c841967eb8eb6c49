"""Writes PLY files of any layout by hand, independently of the package: for the tests of the reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.scene.gaussians import Gaussians

ORDER = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "="}
NAMES = {
    "i1": "char",
    "u1": "uchar",
    "i2": "short",
    "u2": "ushort",
    "i4": "int",
    "u4": "uint",
    "f4": "float",
    "f8": "double",
}

Columns = dict[str, NDArray[Any]]


def columns_of(scene: Gaussians, *, normals: bool = True) -> Columns:
    """The canonical columns, each from its own rule of the reference."""
    zero = np.zeros(len(scene), np.float32)
    out: Columns = {axis: scene.means[:, i] for i, axis in enumerate("xyz")}
    if normals:
        out |= dict.fromkeys(("nx", "ny", "nz"), zero)
    out |= {f"f_dc_{c}": scene.sh0[:, 0, c] for c in range(3)}
    k = scene.shN.shape[1]
    out |= {f"f_rest_{i}": scene.shN[:, i % k, i // k] for i in range(3 * k)}
    out["opacity"] = scene.opacities
    out |= {f"scale_{i}": scene.scales[:, i] for i in range(3)}
    out |= {f"rot_{i}": scene.quats[:, i] for i in range(4)}
    return out


def element(name: str, columns: Columns, encoding: str) -> tuple[list[str], bytes]:
    """Header lines and data of one element of scalars."""
    count = len(next(iter(columns.values())))
    lines = [f"element {name} {count}"]
    lines += [f"property {NAMES[c.dtype.str[1:]]} {n}" for n, c in columns.items()]
    if encoding == "ascii":
        rows = zip(*columns.values(), strict=True)
        text = "".join(" ".join(f"{v:.9g}" if v.dtype.kind == "f" else str(v) for v in row) + "\n" for row in rows)
        return lines, text.encode()
    row = np.zeros(count, [(n, ORDER[encoding] + c.dtype.str[1:]) for n, c in columns.items()])
    for n, c in columns.items():
        row[n] = c
    return lines, row.tobytes()


def ply(
    columns: Columns,
    *,
    encoding: str = "binary_little_endian",
    comments: tuple[str, ...] = (),
    before: tuple[tuple[str, Columns], ...] = (),
    after: tuple[tuple[str, Columns], ...] = (),
    newline: str = "\n",
) -> bytes:
    """Return a whole file."""
    parts = [element(n, c, encoding) for n, c in (*before, ("vertex", columns), *after)]
    lines = [
        "ply",
        f"format {encoding} 1.0",
        *comments,
        *(line for head, _ in parts for line in head),
        "end_header",
        "",
    ]
    return newline.join(lines).encode() + b"".join(data for _, data in parts)


def save(folder: Path, data: bytes) -> Path:
    path = folder / "scene.ply"
    path.write_bytes(data)
    return path
