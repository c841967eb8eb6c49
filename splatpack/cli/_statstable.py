"""What ``splatpack info --stats`` adds: the statistics of a scene, and how they look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from splatpack.limits import Limits

_BARS = " ▁▂▃▄▅▆▇█"


def measure(source: str, spk: bool, limits: Limits, threads: int | None) -> dict[str, Any]:
    """Read a scene whole and return its statistics as plain values, by attribute; a foreign file unrepaired."""
    from splatpack.edit import statistics

    if spk:
        from splatpack.cli._inputs import open_spk, prefetch
        from splatpack.pack.decode import decode

        with open_spk(source, limits) as reader:
            prefetch(reader, reader.select())
            scene = decode(reader, threads=threads)
    else:
        from splatpack.formats.registry import read_scene

        scene = read_scene(source, limits=limits)
    return {name: summary.as_dict() for name, summary in statistics(scene).items()}


def table(stats: dict[str, Any]) -> Table:
    """Return the table of all attributes: least, median and greatest value, and a histogram of the middle 99 %."""
    from rich.markup import escape
    from rich.table import Table

    out = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    out.add_column("attribute", style="cyan")
    for name in ("min", "median", "max"):
        out.add_column(name, justify="right")
    out.add_column("0.5 %")
    out.add_column("histogram", style="green", no_wrap=True)
    out.add_column("99.5 %")
    out.add_column("", style="yellow")
    for name, s in stats.items():
        printable = "".join(c if c.isprintable() else "?" for c in name)
        numbers = [_text(s[key]) for key in ("low", "median", "high")]
        edges = [_text(s["edges"][k]) if s["edges"] else "" for k in (0, -1)]
        lost = f"{s['non_finite']:,} not finite" if s["non_finite"] else ""
        out.add_row(escape(printable), *numbers, edges[0], bars(s["counts"]), edges[1], lost)
    return out


def bars(counts: list[int]) -> str:
    """Return a character for each bin, as high as its count against the highest; only an empty bin is blank."""
    most = max(counts, default=0)
    return "".join(_BARS[-(-(len(_BARS) - 1) * c // most)] if c else _BARS[0] for c in counts)


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
