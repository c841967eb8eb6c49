"""A profile: how the sections of a chunk are coded, as the metadata and the tables of a file keep it.

Chunks name a profile by number, so that coarser levels may be coded otherwise than the finest one.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from splatpack.codecs import defaults
from splatpack.codecs.columns import DTYPES
from splatpack.codecs.model import Model
from splatpack.codecs.pipeline import Pipeline
from splatpack.codecs.splat import GEOMETRY, SplatParams
from splatpack.container.layout import PARTED_MODELS
from splatpack.errors import CorruptError
from splatpack.scene.gaussians import ATTRIBUTES, SH_COEFFICIENTS

GEOMETRY_SECTION, SH_SECTION, COLUMN_SECTION = 0, 1, 2
SECTION_NAMES = {GEOMETRY_SECTION: "geometry", SH_SECTION: "sh", COLUMN_SECTION: "columns"}
MAX_PROFILES = 16
MAX_COLUMNS = 256
COMPONENTS = {"means": 3, "scales": 3, "quats": 4, "opacities": 1, "sh0": 3}
"""Components of each attribute; ``shN`` has 3 K."""

_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class Column:
    """A column that is coded on its own: an attribute kept exact or within an error, or an extra column.

    ``shape`` is the shape of one row; ``dtype`` a numpy type string of :data:`splatpack.codecs.columns.DTYPES`.
    """

    name: str
    attribute: bool
    dtype: str
    shape: tuple[int, ...]
    pipeline: Pipeline

    @property
    def components(self) -> int:
        """Numbers in one row."""
        return int(np.prod(self.shape, dtype=np.int64))

    def to_dict(self) -> dict[str, Any]:
        """Return what :meth:`from_dict` reads."""
        return {
            "name": self.name, "attribute": self.attribute, "dtype": self.dtype, "shape": list(self.shape),
            "pipeline": self.pipeline.spec,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Any, degree: int) -> Column:
        """Check untrusted metadata.

        Raises
        ------
        CorruptError
            A field is missing or wrong, or the shape is not the attribute's.
        """
        if not isinstance(data, dict) or set(data) != {"name", "attribute", "dtype", "shape", "pipeline"}:
            raise CorruptError("a column of a profile: expected name, attribute, dtype, shape, pipeline.")
        name, shape = data["name"], data["shape"]
        fine = isinstance(name, str) and 0 < len(name) <= 256 and isinstance(data["attribute"], bool)
        fine = fine and data["dtype"] in DTYPES and isinstance(shape, list) and len(shape) <= 2
        if not fine or not all(type(v) is int and 1 <= v <= 256 for v in shape):
            raise CorruptError(f"column {name!r}: dtype {data['dtype']!r}, shape {shape!r}.")
        if data["attribute"] and (name not in ATTRIBUTES or tuple(shape) != row_shape(name, degree)):
            raise CorruptError(f"column {name!r} of shape {shape} is not an attribute of degree {degree}.")
        if data["attribute"] and data["dtype"] != "<f4":
            raise CorruptError(f"column {name!r}: dtype {data['dtype']}, expected <f4.")
        if not data["attribute"] and len(shape) > 1:
            raise CorruptError(f"column {name!r}: rows of {len(shape)} dimensions, expected at most 1.")
        column = cls(name, data["attribute"], data["dtype"], tuple(shape), Pipeline.from_spec(data["pipeline"]))
        column.pipeline.check_column(np.dtype(column.dtype), column.components)
        return column


def row_shape(attribute: str, degree: int) -> tuple[int, ...]:
    """Return the shape of one row of an attribute of a scene of SH degree ``degree``."""
    return {"means": (3,), "scales": (3,), "quats": (4,), "opacities": (), "sh0": (1, 3)}.get(
        attribute, (SH_COEFFICIENTS[degree], 3)
    )


@dataclass(frozen=True)
class Profile:
    """How chunks are coded.

    Attributes
    ----------
    sh_degree : int
    params : SplatParams or None
        The splat codec's; None when nothing goes through it.
    sh : bool
        ``shN`` is coded by the splat codec, in its own section.
    columns : tuple of Column
        In the order of the column section.
    geometry_model, sh_model : Model or None
    """

    sh_degree: int
    params: SplatParams | None
    sh: bool
    columns: tuple[Column, ...]
    geometry_model: Model | None = None
    sh_model: Model | None = None

    @property
    def sections(self) -> tuple[int, ...]:
        """The kinds of section that a chunk of this profile has."""
        present = (self.params is not None, self.sh, bool(self.columns))
        return tuple(kind for kind, there in zip(SECTION_NAMES, present, strict=True) if there)

    def to_dict(self) -> dict[str, Any]:
        """Return the metadata of the profile."""
        return {
            "sh_degree": self.sh_degree,
            "splat": self.params.to_dict() if self.params else None,
            "sh": self.sh,
            "columns": [c.to_dict() for c in self.columns],
        }

    def tables(self) -> bytes:
        """Return the entropy models of the profile, each behind its u32 length."""
        models = [m.to_bytes() for m in (self.geometry_model, self.sh_model) if m is not None]
        return b"".join(_LENGTH.pack(len(m)) + m for m in models)

    @property
    def required(self) -> int:
        """Required feature bits of a file with these tables."""
        parted = any(isinstance(m, defaults.PartedModel) for m in (self.geometry_model, self.sh_model))
        return PARTED_MODELS if parted else 0

    @classmethod
    def from_dict(cls, data: Any) -> Profile:
        """Check untrusted metadata; the models are still missing.

        Raises
        ------
        CorruptError, UnsupportedError
            A field is missing or wrong, an attribute is coded twice or not at all, or a codec is not known.
        """
        if not isinstance(data, dict) or set(data) != {"sh_degree", "splat", "sh", "columns"}:
            keys = sorted(data) if isinstance(data, dict) else type(data).__name__
            raise CorruptError(f"profile with {keys}: expected sh_degree, splat, sh, columns.")
        degree, splat, sh, columns = (data[k] for k in ("sh_degree", "splat", "sh", "columns"))
        if type(degree) is not int or not 0 <= degree <= 3 or not isinstance(sh, bool):
            raise CorruptError(f"profile: SH degree {degree!r}, sh {sh!r}.")
        if (
            not isinstance(columns, list)
            or len(columns) > MAX_COLUMNS
            or not (splat is None or isinstance(splat, dict))
        ):
            raise CorruptError("profile: columns is not a list of at most 256, or splat not a map.")
        params = SplatParams.from_dict(splat) if splat is not None else None
        parsed = tuple(Column.from_dict(c, degree) for c in columns)
        if params is not None and not params.attributes and not sh:
            raise CorruptError("profile: splat parameters, but nothing is coded with them.")
        names = [*(params.attributes if params else ()), *(c.name for c in parsed if c.attribute)]
        want = list(ATTRIBUTES if degree and not sh else GEOMETRY)
        if sorted(names) != sorted(want) or (sh and (params is None or degree == 0)):
            raise CorruptError(f"profile: attributes {sorted(names)}, expected {sorted(want)}.")
        if len({(c.name, c.attribute) for c in parsed}) != len(parsed):
            raise CorruptError("profile: a column stands twice.")
        return cls(degree, params, sh, parsed)


def read_profiles(data: Any, tables: bytes, required: int = 0) -> list[Profile]:
    """Build the profiles of untrusted metadata and tables, in a file of these ``required`` features.

    Raises
    ------
    CorruptError, UnsupportedError
        As :meth:`Profile.from_dict`, or the tables do not hold exactly the models of the profiles.
    """
    if not isinstance(data, list) or not 1 <= len(data) <= MAX_PROFILES:
        raise CorruptError(f"metadata: profiles is not a list of 1 to {MAX_PROFILES}.")
    parted = bool(required & PARTED_MODELS)
    out, at = [], 0
    for item in data:
        profile = Profile.from_dict(item)
        geometry: Model | None = None
        sh: Model | None = None
        if profile.params is not None:
            geometry, at = _model(tables, at, defaults.GEOMETRY, parted)
        if profile.sh:
            sh, at = _model(tables, at, defaults.SH, parted)
        out.append(Profile(profile.sh_degree, profile.params, profile.sh, profile.columns, geometry, sh))
    seen: dict[str, tuple[str, tuple[int, ...]]] = {}
    for column in (c for p in out for c in p.columns if not c.attribute):
        if seen.setdefault(column.name, (column.dtype, column.shape)) != (column.dtype, column.shape):
            raise CorruptError(f"column {column.name!r} has different types in two profiles.")
    if at != len(tables):
        raise CorruptError(f"tables: {len(tables) - at} bytes are left over.")
    return out


def _model(tables: bytes, at: int, kind: defaults.Kind, parted: bool) -> tuple[Model, int]:
    if at + _LENGTH.size > len(tables):
        raise CorruptError("tables: an entropy model is missing.")
    (length,) = _LENGTH.unpack_from(tables, at)
    at += _LENGTH.size
    if at + length > len(tables):
        raise CorruptError("tables: an entropy model passes their end.")
    return defaults.parse(memoryview(tables)[at : at + length], kind, parted), at + length
