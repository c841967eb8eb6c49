"""The table of foreign formats: a row each, with its signature, who reads and writes it, and what it can hold.

Data only: modules are named and imported when they are needed.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes
    ----------
    name : str
        What :func:`splatpack.formats.detect.detect` returns for it.
    title : str
        What people call it.
    extensions : tuple of str
        Lower case, with the dot; the first is the usual one. A folder has none.
    magics : tuple of bytes
        First bytes that only this format has. Formats without any are told in ``detect``.
    reader : str or None
        ``module:function``, called as ``(path, *, limits, normalise)``. It never turns a scene: it gives the numbers of
        the file and says in which frame they are.
    writer : str or None
        ``module:function``, called as ``(file, scene, losses, *, frame, **settings)`` with an open binary file, or with
        the path of an empty folder where ``folder`` is set.
    settings : tuple of str
        Names of the writer's own settings.
    folder : bool
        A scene is a folder of files.
    frames : tuple of str
        The frames that such files are in; the first is the one that the writer turns a scene to if it is in none.
    moving : bool
        A file is a moving scene: its reader also takes ``time``.
    levels : bool
        A file has levels of detail: its reader also takes ``level``.
    sh_degree : int
        Highest SH degree that a file can hold.
    antialiased, surfels, extras : bool
        Whether a file can say that its scene is antialiased, is 2DGS, has further columns.
    limits : str
        What else is lost, for people.
    """

    name: str
    title: str
    extensions: tuple[str, ...] = ()
    magics: tuple[bytes, ...] = ()
    reader: str | None = None
    writer: str | None = None
    settings: tuple[str, ...] = ()
    folder: bool = False
    frames: tuple[str, ...] = ("rdf",)
    moving: bool = False
    levels: bool = False
    sh_degree: int = 3
    antialiased: bool = False
    surfels: bool = False
    extras: bool = False
    limits: str = ""


def _module(name: str, function: str) -> str:
    return f"splatpack.formats.{name}:{function}"


_SOG = (
    "positions 16 bits of the logarithm, log-scales and colour in 256 levels, alpha 8 bits, rotation 0.8 deg, SH in a "
    "palette of up to 65,536; rows in Morton order; "
)

FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        Format(
            "ply", "PLY", (".ply",), (b"ply\n", b"ply\r\n"), _module("ply", "read_ply"), _module("ply", "save_ply"),
            frames=("rdf", "z_up"), antialiased=True, surfels=True, extras=True, limits="none: float32",
        ),
        Format(
            "spk", "splatpack", (".spk",), (b"\x89SPK\r\n\x1a\n",),
            limits="by preset, or bit for bit (--lossless)",
        ),
        Format(
            "compressed-ply", "PlayCanvas compressed PLY", (".compressed.ply",), (),
            _module("compressedply", "read_compressed_ply"), _module("compressedply", "write_compressed_ply"),
            frames=("rdf", "z_up"), antialiased=True, surfels=True,
            limits="positions and log-scales 11, 10, 11 bits of a box of 256 Gaussians, colour and alpha 8 bits, "
            "rotation 0.2 deg, SH +-4 in 256 levels; rows in Morton order",
        ),
        Format(
            "splat", "antimatter15 .splat", (".splat",), (), _module("splat", "read_splat"),
            _module("splat", "write_splat"), sh_degree=0,
            limits="colour in 0..1 and alpha 8 bits, rotation 4 x 8 bits (0.8 deg); rows in order of visibility",
        ),
        Format(
            "spz", "Niantic SPZ", (".spz",), (b"NGSP",), _module("spz", "read_spz"), _module("spz", "write_spz"),
            settings=("version",), frames=("rub",), antialiased=True,
            limits="positions 24 bits fixed point, log-scale -10..5.94 in steps of 1/16, colour and alpha 8 bits, "
            "rotation 0.2 deg, SH +-1 in 32 or 16 levels; reads versions 1 to 4 without SH band 4, writes 2 to 4",
        ),
        Format(
            "ksplat", "mkkellogg .ksplat", (".ksplat",), (), _module("ksplat", "read_ksplat"),
            limits="reads levels 0 to 2, SH degree 0 to 3",
        ),
        Format(
            "png-compression", "gsplat PngCompression", (), (), _module("pngcompression", "read_png_compression"),
            _module("pngcompression", "write_png_compression"), settings=("palette", "progress"), folder=True,
            limits="positions 16 bits of the logarithm, all else 8 bits between the ends of the scene, SH in a palette "
            "of 6 bits; a square number of Gaussians, in Morton order; reads the folder or its meta.json",
        ),
        Format(
            "sog", "PlayCanvas SOG", (".sog",), (), _module("sog", "read_sog"), _module("sog", "write_sog"),
            settings=("palette", "progress"), antialiased=True, limits=_SOG + "reads versions 1 and 2, writes 2",
        ),
        Format(
            "sog-folder", "PlayCanvas SOG, unbundled", (), (), _module("sog", "read_sog"),
            _module("sog", "write_sog_folder"), settings=("palette", "progress"), folder=True, antialiased=True,
            limits="as SOG; reads the folder or its meta.json",
        ),
        Format(
            "lod-meta", "PlayCanvas streamed SOG", (), (), _module("streamedsog", "read_streamed_sog"),
            _module("streamedsog", "write_streamed_sog"), settings=("levels", "palette", "chunk", "progress"),
            folder=True, levels=True, antialiased=True,
            limits="as SOG; reads the folder or its lod-meta.json, one level (--level) of it; writes levels that are "
            "made by merging neighbours",
        ),
        Format(
            "gltf", "glTF", (".glb",), (b"glTF",), _module("gltf", "read_gltf"), _module("gltf", "write_gltf"),
            settings=("version",), frames=("luf",),
            limits="none: float32; KHR_gaussian_splatting in .glb and .gltf, with the draft of its SPZ compression; "
            "writes .glb, with --spz-version an SPZ in it",
        ),
        Format(
            "usd", "OpenUSD ParticleField", (".usdc", ".usd"), (b"PXR-USDC", b"#usda"), _module("usd", "read_usd"),
            _module("usd", "write_usd"), frames=("rub", "z_up"),
            limits="none: float32; reads .usd, .usda, .usdc and .usdz that refer to no other layer, writes crates: "
            "pip install 'splatpack[usd]'",
        ),
        Format(
            "usdz", "OpenUSD package", (".usdz",), (), _module("usd", "read_usd"), _module("usd", "write_usdz"),
            frames=("rub", "z_up"), limits="as OpenUSD",
        ),
        Format(
            "rad", "Spark RAD", (".rad", ".radc"), (b"RAD0", b"RADC"), _module("rad", "read_rad"),
            limits="reads a file or one chunk; of levels of detail the leaves; no SH in a codebook",
        ),
        Format(
            "stg", "Spacetime Gaussians PLY", (".ply",), (), _module("stg", "read_stg"), moving=True,
            limits="reads one frame (--time); colours of the full model unshaded",
        ),
        Format(
            "splatv", "splaTV", (".splatv",), (b"\x4b\x67\x00\x00",), _module("splatv", "read_splatv"),
            _module("splatv", "write_splatv"), moving=True, sh_degree=0,
            limits="reads one frame (--time), writes a still scene: rotation and scale float16, colour in 0..1 and "
            "alpha 8 bits",
        ),
        Format("4dgs", "4DGS container", (".4dgs",), (b"\x894DGS1\r\n",)),
        Format("splat4d", "splat4d", (".splat4d",), (b"SP4D",)),
        Format(
            "checkpoint", "checkpoint of gsplat, splatfacto or Inria", (".pt", ".pth", ".ckpt"), (),
            _module("checkpoint", "read_checkpoint"), frames=("rdf", "z_up"),
            limits="reads tensors and runs nothing (PyTorch with weights_only): pip install 'splatpack[checkpoints]'",
        ),
        Format("cameras", "list of cameras", (".json",)),
        Format("transforms", "list of posed photos", (".json",)),
    )
}  # fmt: skip
"""All formats that can be told apart; those without a reader are named in the error."""


def readable() -> list[Format]:
    """Return the formats that have a reader."""
    return [f for f in FORMATS.values() if f.reader]


def writable() -> list[Format]:
    """Return the formats that have a writer."""
    return [f for f in FORMATS.values() if f.writer]


def titles(formats: list[Format]) -> str:
    """Name formats in a sentence."""
    return ", ".join(f"{f.title} ({f.extensions[0] if f.extensions else 'a folder'})" for f in formats)
