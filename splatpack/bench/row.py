"""One result of the benchmark: a codec on a scene."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,), "int": (int,), "float | None": (int, float, type(None)), "int | None": (int, type(None)),
}  # fmt: skip
"""What a field of a row may be, by its annotation."""


@dataclass(frozen=True)
class Row:
    """One codec on one scene.

    Attributes
    ----------
    codec, family, scene : str
        Rows of a family on a scene are points of one curve.
    n, n_out : int
        Gaussians before and after.
    bytes : int
    bpg : float
        Bits per Gaussian of the input.
    psnr, psnr_min, ssim : float or None
        Of renders against the input's, dB, mean and worst view; None when there is no result.
    encode_s, decode_s : float or None
        Median wall seconds of warm calls.
    encode_spread, decode_spread : float or None
        Slowest over fastest call.
    encode_cpu_s, decode_cpu_s : float or None
        Median processor seconds of the same calls.
    mgs_per_s : float or None
        Millions of Gaussians decoded per wall second.
    peak_rss : int or None
        Largest resident size of the processes that encoded and decoded, bytes.
    status : str
        ``ok``; ``missing``: not installed; ``timeout``: stopped; ``failed``.
    error : str
        Why there are no figures; empty otherwise.
    """

    codec: str
    scene: str
    n: int
    family: str = ""
    n_out: int = 0
    bytes: int = 0
    bpg: float | None = None
    psnr: float | None = None
    psnr_min: float | None = None
    ssim: float | None = None
    encode_s: float | None = None
    decode_s: float | None = None
    encode_spread: float | None = None
    decode_spread: float | None = None
    encode_cpu_s: float | None = None
    decode_cpu_s: float | None = None
    mgs_per_s: float | None = None
    peak_rss: int | None = None
    status: str = "ok"
    error: str = ""

    @property
    def encode_rate(self) -> float | None:
        """Millions of Gaussians encoded per processor second; it varies less than wall time on a busy machine."""
        return self.n / self.encode_cpu_s / 1e6 if self.encode_cpu_s else None

    @property
    def decode_rate(self) -> float | None:
        """Millions of Gaussians decoded per processor second."""
        return self.n_out / self.decode_cpu_s / 1e6 if self.decode_cpu_s else None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def of(cls, values: dict[str, Any]) -> Row:
        """Undo :meth:`as_dict`; what this version does not know is left out.

        Raises
        ------
        KeyError, TypeError
            A field that must be there is not, or is of another type.
        """
        found = {f.name: values[f.name] for f in fields(cls) if f.name in values or f.name in ("codec", "scene", "n")}
        for f in fields(cls):
            kinds = _KINDS[str(f.type)]
            if f.name in found and (not isinstance(found[f.name], kinds) or isinstance(found[f.name], bool)):
                raise TypeError(f"{f.name}: {found[f.name]!r}, expected {f.type}")
        return cls(**found)
