"""The operations of ``splatpack edit``: one row each, applied in the order in which they are written."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from splatpack import edit

if TYPE_CHECKING:
    from splatpack.scene.gaussians import Gaussians


class Vector(click.ParamType[tuple[float, ...]]):
    """Numbers with commas between, as many as one of ``counts``; infinite ones (``inf``, ``-inf``) where allowed."""

    def __init__(self, name: str, *counts: int, infinite: bool = False) -> None:
        self.name, self.counts, self.infinite = name, counts, infinite

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """Return the numbers."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(float(v) for v in str(value).split(","))
        except ValueError:
            numbers = ()
        sound = all(not math.isnan(v) and (self.infinite or math.isfinite(v)) for v in numbers)
        if len(numbers) not in self.counts or not sound:
            counts = " or ".join(str(c) for c in self.counts)
            self.fail(f"{value!r}, expected {counts} numbers with commas between ({self.name})", param, ctx)
        return numbers


class Amount(click.ParamType["int | float"]):
    """How many, or what part: ``50000``, ``25%``, ``0.25``."""

    name = "N|P%"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | float:
        """Return a count as int, a part as float."""
        if isinstance(value, (int, float)):
            return value
        match = re.fullmatch(r"(\d{1,12})|(\d{1,3}(?:\.\d*)?)%|(\d?\.\d+)", str(value).strip(), re.ASCII)
        if match is None:
            self.fail(f"{value!r}, expected a count (50000), a percentage (25%) or a fraction (0.25)", param, ctx)
        if match[1]:
            return int(match[1])
        return float(match[2]) / 100 if match[2] else float(match[3])


class Labelling(click.ParamType[tuple[str, int, "str | None"]]):
    """``NAME=VALUE`` with an integer, and ``where EXPR`` after it."""

    name = "LABEL"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int, str | None]:
        """Return the column, the value, and the expression or None."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"\s*(\w+)\s*=\s*([+-]?\d{1,20})(?:\s+where\s+(.+))?\s*", str(value), re.DOTALL | re.ASCII)
        if match is None:
            self.fail(f"{value!r}, expected NAME=INTEGER or 'NAME=INTEGER where EXPR'", param, ctx)
        return match[1], int(match[2]), match[3]


@dataclass(frozen=True)
class Setting:
    """What operations need beside the scene: the threads, and how a further file is read."""

    threads: int | None
    read: Callable[[str], Gaussians]


@dataclass(frozen=True)
class Operation:
    """A row of :data:`OPERATIONS`.

    Attributes
    ----------
    name : str
        The option, without dashes.
    type : click.ParamType or None
        Of its value; None makes a flag.
    metavar : str or None
    help : str
    apply : callable
        Takes the scene, the value and the :class:`Setting`.
    """

    name: str
    type: click.ParamType[Any] | None
    metavar: str | None
    help: str
    apply: Callable[[Gaussians, Any, Setting], Gaussians]

    @property
    def key(self) -> str:
        """The name of the parameter."""
        return self.name.replace("-", "_")

    def option(self) -> click.Option:
        """Return the option; one with a value may be given any number of times."""
        if self.type is None:
            return click.Option([f"--{self.name}", self.key], is_flag=True, help=self.help)
        return click.Option(
            [f"--{self.name}", self.key], type=self.type, multiple=True, metavar=self.metavar, help=self.help
        )


_FRAMES = ("rdf", "rub", "luf", "z_up")
_BOX = Vector("low x,y,z, then high x,y,z", 6, infinite=True)
_SPHERE = Vector("centre x,y,z, then radius", 4)
_PLANE = Vector("normal x,y,z, then offset", 4)
_RGB = Vector("red,green,blue", 3)

OPERATIONS = (
    Operation("crop-box", _BOX, "X0,Y0,Z0,X1,Y1,Z1", "Keep what is in a box; inf and -inf leave a side open.",
              lambda s, v, _: edit.crop_box(s, v[:3], v[3:])),
    Operation("crop-sphere", _SPHERE, "X,Y,Z,R", "Keep what is in a sphere.",
              lambda s, v, _: edit.crop_sphere(s, v[:3], v[3])),
    Operation("crop-plane", _PLANE, "NX,NY,NZ,D", "Keep the half-space N.x >= D; N is made a unit vector.",
              lambda s, v, _: edit.crop_plane(s, v[:3], v[3])),
    Operation("cut-box", _BOX, "X0,Y0,Z0,X1,Y1,Z1", "Remove what is in a box.",
              lambda s, v, _: edit.crop_box(s, v[:3], v[3:], inside=False)),
    Operation("cut-sphere", _SPHERE, "X,Y,Z,R", "Remove what is in a sphere.",
              lambda s, v, _: edit.crop_sphere(s, v[:3], v[3], inside=False)),
    Operation("cut-plane", _PLANE, "NX,NY,NZ,D", "Remove the half-space N.x >= D.",
              lambda s, v, _: edit.crop_plane(s, v[:3], v[3], inside=False)),
    Operation("translate", Vector("x,y,z", 3), "X,Y,Z", "Move.", lambda s, v, _: edit.translate(s, v)),
    Operation("rotate", Vector("degrees about x,y,z, or a quaternion w,x,y,z", 3, 4), "X,Y,Z|W,X,Y,Z",
              "Turn about the origin: degrees about x, then y, then z; or a quaternion.",
              lambda s, v, _: edit.rotate(s, v)),
    Operation("scale", click.FLOAT, "F", "Scale about the origin.", lambda s, v, _: edit.scale(s, v)),
    Operation("mirror", click.STRING, "AXES", "Reverse axes: x, y, z or several, such as xz.",
              lambda s, v, _: edit.mirror(s, v)),
    Operation("to-frame", click.Choice(_FRAMES), None, "Turn to another frame; the output is written in it.",
              lambda s, v, _: edit.change_frame(s, v)),
    Operation("select", click.STRING, "EXPR", "Keep where an expression holds: 'opacity > 0.1 and label == 3'.",
              lambda s, v, _: edit.select(s, v)),
    Operation("drop", click.STRING, "EXPR", "Remove where an expression holds.",
              lambda s, v, _: edit.select(s, v, keep=False)),
    Operation("min-opacity", click.FLOAT, "A", "Remove what is less opaque; 0 to 1.",
              lambda s, v, _: edit.filter_opacity(s, low=v)),
    Operation("max-opacity", click.FLOAT, "A", "Remove what is more opaque; 0 to 1.",
              lambda s, v, _: edit.filter_opacity(s, high=v)),
    Operation("min-scale", click.FLOAT, "S", "Remove what is smaller (longest standard deviation, scene units).",
              lambda s, v, _: edit.filter_scale(s, low=v)),
    Operation("max-scale", click.FLOAT, "S", "Remove what is larger.",
              lambda s, v, _: edit.filter_scale(s, high=v)),
    Operation("drop-nan", None, None, "Remove what has a NaN or an infinity, extra columns included.",
              lambda s, _, __: edit.drop_nan(s)),
    Operation("drop-floaters", None, None, "--drop-huge 1 and --drop-isolated 20.",
              lambda s, _, __: edit.drop_floaters(s)),
    Operation("drop-isolated", click.FLOAT, "F", "Remove what has fewer than 4 others within about F spacings.",
              lambda s, v, _: edit.drop_isolated(s, v)),
    Operation("drop-huge", click.FLOAT, "F", "Remove what is larger than F times the scene's radius.",
              lambda s, v, _: edit.drop_huge(s, v)),
    Operation("drop-unseen", Amount(), "P%", "Remove what adds least to rendered pictures, P % of it all together.",
              lambda s, v, run: edit.drop_unseen(s, float(v), threads=run.threads)),
    Operation("decimate", Amount(), "N|P%", "Keep as many, by their contribution to rendered pictures.",
              lambda s, v, run: edit.decimate(s, v, threads=run.threads)),
    Operation("simplify", Amount(), "N|P%", "Merge neighbours until as many are left: better for a quarter and less.",
              lambda s, v, _: edit.simplify(s, v)),
    Operation("largest", Amount(), "N|P%", "Keep as many, by opacity times area: quicker and worse.",
              lambda s, v, _: edit.largest(s, v)),
    Operation("sh-degree", click.IntRange(0, 3), "N", "Drop SH bands above N, or add bands of zeros up to N.",
              lambda s, v, _: edit.sh_degree(s, v)),
    Operation("exposure", click.FLOAT, "STOPS", "Multiply colours by 2^STOPS.", lambda s, v, _: edit.exposure(s, v)),
    Operation("saturation", click.FLOAT, "F", "0 makes grey, 1 changes nothing.",
              lambda s, v, _: edit.saturation(s, v)),
    Operation("white-balance", _RGB, "R,G,B", "Make this colour grey, keeping its luminance.",
              lambda s, v, _: edit.white_balance(s, v)),
    Operation("label", Labelling(), "NAME=INT", "Write an extra column: 'part=3', or 'part=3 where y > 1'.",
              lambda s, v, _: edit.label(s, v[0], v[1], where=v[2])),
    Operation("merge", click.STRING, "FILE", "Add another scene, turned to the frame of this one.",
              lambda s, v, run: edit.merge([s, run.read(v)])),
    Operation("sort", None, None, "Sort along a Morton curve.", lambda s, _, __: edit.sort(s)),
)  # fmt: skip
"""Every operation, in the order of the help."""
