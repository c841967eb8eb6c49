"""Peers: how each is found in a folder, and how it takes a file from one format to another."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from splatpack.formats.registry import read_scene, write_folder, write_scene
from splatpack.scene.gaussians import C0, Gaussians
from splatpack.scene.transform import change_frame
from splatpack.scene.validate import normalise_quats

NODE = Path(__file__).parent / "node"
TIMEOUT = 300
"""Seconds that one conversion may take."""


class PeerError(Exception):
    """A peer failed."""


@dataclass(frozen=True)
class Case:
    """One format as one peer has it.

    Attributes
    ----------
    ending : str
        Of the file name: what our writer and theirs go by.
    folder : str
        The name of our format, where ``ending`` is the index of a folder.
    reads, writes : bool
        Whether the peer reads ours; whether it writes some for us.
    settings : tuple
        Pairs for our writer.
    frame : str or None
        The frame that the peer takes the numbers of the file to be in, where that is not the format's own.
    degree : int
        SH degree to which the scene is cut before.
    """

    ending: str
    reads: bool = True
    writes: bool = True
    settings: tuple[tuple[str, int], ...] = ()
    frame: str | None = None
    degree: int = 3
    label: str = ""
    folder: str = ""


class Peer(ABC):
    """A program that converts files."""

    name: str
    cases: tuple[Case, ...]

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @abstractmethod
    def present(self) -> bool:
        """Whether it is installed in the folder."""

    @abstractmethod
    def decode(self, source: Path, case: Case) -> Gaussians:
        """Return what the peer makes of a file."""

    @abstractmethod
    def encode(self, source: Path, target: Path, case: Case) -> None:
        """Have the peer write a file from a PLY."""

    def run(self, *words: object) -> str:
        """Run a program and return what it printed."""
        done = subprocess.run(
            [str(w) for w in words], capture_output=True, text=True, timeout=TIMEOUT, check=False, cwd=self.folder
        )
        if done.returncode:
            raise PeerError((done.stderr or done.stdout).strip().splitlines()[-1][:200])
        return done.stdout


class _ThroughPly(Peer):
    """A peer whose floats come out as a PLY."""

    def decode(self, source: Path, case: Case) -> Gaussians:
        target = source.with_name("peer.ply")
        target.unlink(missing_ok=True)
        self.convert(source, target, case)
        return read_scene(target)

    def encode(self, source: Path, target: Path, case: Case) -> None:
        self.convert(source, target, case)

    @abstractmethod
    def convert(self, source: Path, target: Path, case: Case) -> None:
        """Convert one file to another."""


class _Node:
    """What the peers under node share."""

    folder: Path
    package: str

    def present(self) -> bool:
        return shutil.which("node") is not None and (self.folder / "node_modules" / self.package).is_dir()


class SplatTransform(_Node, _ThroughPly):
    name, package = "splat-transform", "@playcanvas/splat-transform"
    cases = (
        Case(".ply"),
        Case(".compressed.ply"),
        Case(".splat", writes=False, degree=0),
        Case(".spz", settings=(("version", 3),), frame="rdf", label="v3"),
        Case(".spz", settings=(("version", 4),), frame="rdf", label="v4"),
        Case(".sog", degree=0, label="SH 0"),
        Case(".sog", degree=1, label="SH 1"),
        Case("/meta.json", degree=0, folder="sog-folder"),
        Case("/lod-meta.json", degree=0, folder="lod-meta", label="SH 0"),
        Case("/lod-meta.json", degree=1, folder="lod-meta", label="SH 1"),
        Case(".glb", reads=False),
    )

    def convert(self, source: Path, target: Path, case: Case) -> None:
        program = self.folder / "node_modules" / self.package / "bin" / "cli.mjs"
        version = dict(case.settings).get("version")
        extra = ["--spz-version", version] if version and target.suffix == ".spz" else []
        tag = ["-l", 0] if target.name == "lod-meta.json" else []
        self.run("node", program, "-q", "-w", "-g", "cpu", *extra, source, *tag, target)


class SpzJs(_Node, _ThroughPly):
    """Its PLY has f_rest in another order (SPZ's own), so it is held to degree 0."""

    name, package = "spz-js", "spz-js"
    cases = (
        Case(".spz", settings=(("version", 2),), frame="rdf", degree=0, label="v2"),
        Case(".compressed.ply", degree=0),
    )

    def convert(self, source: Path, target: Path, case: Case) -> None:
        self.run("node", NODE / "spz_js.mjs", self.folder, source, target)


class AdobeSpz(_Node, Peer):
    """The reference implementation, which turns axes when it is told to."""

    name, package = "@adobe/spz", "@adobe/spz"
    cases = tuple(Case(".spz", settings=(("version", v),), label=f"v{v}") for v in (2, 3, 4))

    def decode(self, source: Path, case: Case) -> Gaussians:
        target = source.with_name("peer.json")
        self.run("node", NODE / "adobe_spz.mjs", self.folder, source, target, "RDF")
        cloud = json.loads(target.read_text())
        columns = {k: np.array(v, np.float32) for k, v in cloud.items() if isinstance(v, list)}
        n, k = cloud["numPoints"], (cloud["shDegree"] + 1) ** 2 - 1
        quats = np.ascontiguousarray(columns["rotations"].reshape(n, 4)[:, (3, 0, 1, 2)])
        normalise_quats(quats)  # those of version 2 may be too long, which every renderer corrects
        return Gaussians(
            means=columns["positions"].reshape(n, 3), scales=columns["scales"].reshape(n, 3),
            quats=quats, opacities=columns["alphas"], sh0=columns["colors"].reshape(n, 1, 3),
            shN=columns["sh"].reshape(n, k, 3),
        )  # fmt: skip

    def encode(self, source: Path, target: Path, case: Case) -> None:
        scene = read_scene(source)
        cloud = {
            "numPoints": len(scene), "shDegree": scene.sh_degree, "antialiased": scene.antialiased,
            "positions": scene.means.ravel().tolist(), "scales": scene.scales.ravel().tolist(),
            "rotations": scene.quats[:, (1, 2, 3, 0)].ravel().tolist(), "alphas": scene.opacities.tolist(),
            "colors": scene.sh0.ravel().tolist(), "sh": scene.shN.ravel().tolist(),
        }  # fmt: skip
        between = source.with_name("cloud.json")
        between.write_text(json.dumps(cloud))
        version = dict(case.settings)["version"]
        self.run("node", NODE / "adobe_spz.mjs", self.folder, between, target, "RDF", version)


class Mkkellogg(_Node, Peer):
    name, package = "GaussianSplats3D", "@mkkellogg/gaussian-splats-3d"
    cases = tuple(
        Case(".ksplat", reads=False, degree=degree, settings=(("level", level),), label=f"level {level}, SH {degree}")
        for level in (0, 1, 2)
        for degree in (0, 2)
    )

    def decode(self, source: Path, case: Case) -> Gaussians:
        raise NotImplementedError

    def encode(self, source: Path, target: Path, case: Case) -> None:
        level = dict(case.settings)["level"]
        self.run("node", NODE / "mkkellogg.mjs", self.folder, source, target, level, case.degree)


class GsplatJs(_Node, Peer):
    """Reads .splat and writes it back: what it hands on must still be the scene."""

    name, package = "gsplat.js", "gsplat"
    cases = (Case(".splat", writes=False, degree=0),)

    def decode(self, source: Path, case: Case) -> Gaussians:
        target = source.with_name("peer.splat")
        self.run("node", NODE / "gsplat_js.mjs", self.folder, source, target)
        return read_scene(target)

    def encode(self, source: Path, target: Path, case: Case) -> None:
        raise NotImplementedError


class _Python(_ThroughPly):
    """What the peers in the virtual environment share."""

    module: str

    @property
    def python(self) -> Path:
        return self.folder / "venv" / "bin" / "python"

    def present(self) -> bool:
        words = [str(self.python), "-c", f"import {self.module}"]
        return self.python.exists() and not subprocess.run(words, capture_output=True, check=False).returncode


class Gsply(_Python):
    name = module = "gsply"
    cases = (
        Case(".ply"),
        Case(".compressed.ply"),
        Case(".spz", settings=(("version", 3),), frame="rdf", label="v3"),
        Case(".spz", settings=(("version", 4),), frame="rdf", label="v4"),
    )
    script = """
import sys, gsply
source, target, version = sys.argv[1:]
data = gsply.read_spz(source) if source.endswith(".spz") else gsply.plyread(source)
if target.endswith(".spz"):
    gsply.write_spz(target, data, version=int(version))
elif target.endswith(".compressed.ply"):
    columns = {k: getattr(data, k) for k in ("scales", "quats", "opacities", "sh0", "shN")}
    gsply.plywrite(target, data.means, **columns, compressed=True)
else:
    gsply.plywrite(target, data)
"""

    def convert(self, source: Path, target: Path, case: Case) -> None:
        self.run(self.python, "-c", self.script, source, target, dict(case.settings).get("version", 0))


class GaussForge(_Python):
    """It scrambles SH in compressed PLY, and in .ksplat from band 2 on (splat-transform reads those files as we do)."""

    name = module = "gaussforge"
    cases = (
        Case(".ply"),
        Case(".splat", degree=0),
        Case(".compressed.ply", degree=0),
        Case(".spz", settings=(("version", 3),), frame="rdf", label="v3"),
        Case(".ksplat", reads=False, degree=1),
    )
    script = """
import sys, gaussforge
source, target = sys.argv[1:]
kind = lambda name: "compressed.ply" if name.endswith(".compressed.ply") else name.rsplit(".", 1)[1]
made = gaussforge.GaussForge().convert(open(source, "rb").read(), kind(source), kind(target))
if "error" in made:
    sys.exit(made["error"])
open(target, "wb").write(made["data"])
"""

    def convert(self, source: Path, target: Path, case: Case) -> None:
        self.run(self.python, "-c", self.script, source, target)


class Fourdgs(_Python):
    """Its scenes have SH of 8 bits within +-4, channel by channel; scales and alphas without logarithm; quats xyzw."""

    name = module = "fourdgs"
    cases: tuple[Case, ...] = (Case(".glb"),)
    frame = "luf"
    script = """
import sys, numpy as np, fourdgs
source, target = sys.argv[1:]
if target.endswith(".npz"):
    g = fourdgs.from_gltf(source).gaussians
    np.savez(target, positions=g.positions, scales=g.scales, rotations=g.rotations, colors=g.colors,
             sh=np.zeros((g.count, 0), "u1") if g.sh is None else g.sh)
else:
    a, n = np.load(source), len(np.load(source)["positions"])
    zero, end = np.zeros(n, "f4"), np.full(n, np.inf, "f4")
    g = fourdgs.GaussianSet(a["positions"], a["scales"], a["rotations"], a["colors"], np.zeros((n, 3), "f4"), zero, end,
                            zero, end, sh=a["sh"], sh_degree=int(a["degree"]))
    fourdgs.to_gltf(target, g, 0.0, cutoff=0.05, coordinate_system="y-up-right-handed")
"""

    def decode(self, source: Path, case: Case) -> Gaussians:
        target = source.with_name("peer.npz")
        self.run(self.python, "-c", self.script, source, target)
        with np.load(target) as a:
            n = len(a["positions"])
            alpha = np.clip(a["colors"][:, 3].astype(np.float64), 1e-6, 1 - 1e-6)
            shn = (a["sh"].reshape(n, 3, -1).transpose(0, 2, 1) / 255.0 * 8 - 4).astype(np.float32)
            scene = Gaussians(
                means=a["positions"], scales=np.log(a["scales"]), quats=a["rotations"][:, (3, 0, 1, 2)].copy(),
                opacities=(np.log(alpha) - np.log1p(-alpha)).astype(np.float32), frame=self.frame,
                sh0=((a["colors"][:, None, :3] - 0.5) / C0).astype(np.float32), shN=np.ascontiguousarray(shn),
            )  # fmt: skip
        return change_frame(scene, "rdf")

    def encode(self, source: Path, target: Path, case: Case) -> None:
        scene = change_frame(read_scene(source), self.frame)
        rgba = np.concatenate([0.5 + C0 * scene.sh0[:, 0], 1 / (1 + np.exp(-scene.opacities[:, None]))], axis=1)
        levels = np.rint((scene.shN.transpose(0, 2, 1) + 4) / 8 * 255).clip(0, 255).astype(np.uint8)
        between = source.with_name("scene.npz")
        np.savez(
            between, positions=scene.means, scales=np.exp(scene.scales), rotations=scene.quats[:, (1, 2, 3, 0)],
            colors=rgba.astype(np.float32), sh=levels.reshape(len(scene), -1), degree=scene.sh_degree,
        )  # fmt: skip
        self.run(self.python, "-c", self.script, between, target)

    def convert(self, source: Path, target: Path, case: Case) -> None:
        raise NotImplementedError


class FourdgsUsd(Fourdgs):
    """The same through usd-core, which must be installed in the folder and here."""

    name, module = "fourdgs, USD", "fourdgs, pxr"
    cases = (Case(".usdc"),)
    frame = "rub"
    script = Fourdgs.script.replace("from_gltf", "from_usd").replace("to_gltf", "to_usd")

    def present(self) -> bool:
        return importlib.util.find_spec("pxr") is not None and super().present()


class Gsplat2Usd(_Python):
    """NVIDIA's converter; it turns nothing."""

    name, module = "gsplat2USD", "gsplat2USD, pxr"
    cases = (Case(".usdz", reads=False, frame="rdf"), Case(".usdc", reads=False, frame="rdf"))

    def present(self) -> bool:
        return importlib.util.find_spec("pxr") is not None and super().present()

    def convert(self, source: Path, target: Path, case: Case) -> None:
        self.run(self.folder / "venv" / "bin" / "gsplat2USD", "-i", source, "-o", target)


class Ply2Splat(_Python):
    name = module = "ply2splat"
    cases = (Case(".splat", degree=0),)
    script = """
import sys, ply2splat
source, target = sys.argv[1:]
if source.endswith(".ply"):
    ply2splat.convert(source, target)
else:
    open(target, "wb").write(ply2splat.load_splat_file(source).to_bytes())
"""

    def decode(self, source: Path, case: Case) -> Gaussians:
        target = source.with_name("peer.splat")
        self.convert(source, target, case)
        return read_scene(target)

    def convert(self, source: Path, target: Path, case: Case) -> None:
        self.run(self.python, "-c", self.script, source, target)


PEERS: tuple[type[Peer], ...] = (
    SplatTransform, AdobeSpz, SpzJs, GsplatJs, Mkkellogg, Gsply, GaussForge, Fourdgs, FourdgsUsd, Gsplat2Usd,
    Ply2Splat,
)  # fmt: skip


def write_ours(scene: Gaussians, target: Path, case: Case) -> None:
    """Write a scene as this package does, in the frame that the peer expects."""
    settings = {} if target.suffix == ".ksplat" else dict(case.settings)
    if case.folder:
        target.parent.mkdir()
        write_folder(target.parent, scene, case.folder, frame=case.frame)
        return
    with target.open("wb") as file:
        write_scene(file, scene, case.ending, frame=case.frame, **settings)
