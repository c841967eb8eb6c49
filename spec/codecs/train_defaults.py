"""Train default models: `python spec/codecs/train_defaults.py OUT.txt SCENE...`. The same scenes give the same file.

Each scene is taken whole and cut down to random subsets, since positions and colours of small scenes have other
statistics, and coded at the steps of every preset. What is counted in each part is clustered: every default is the
model of one cluster, and a new cluster starts at what the models so far code worst. `defaults.txt` is normative and was
made once, from three scenes; training again makes other models, which would need other numbers.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

import splatpack
from splatpack.codecs import defaults, model
from splatpack.codecs.model import ABSENT, Model
from splatpack.fit.importance import importance
from splatpack.pack.encode import token_counts
from splatpack.pack.presets import PRESETS
from splatpack.scene.gaussians import Gaussians

Counts = NDArray[np.float64]

SUBSETS = (3000, 1000)
DEFAULTS = 8
TABLES = 4
ROUNDS = 12
WEIGHT = 20_000
"""Tokens that a cluster counts for when its contexts are merged into tables."""

PRIOR = 8.0
"""Tokens of the whole part that each of its contexts gets besides its own."""

ALPHABETS = {
    "geometry": (8, 8, 240, 84, 84, 84, 84, 80, 80, 80, 80),
    "sh": (8, 76, 76, 76, 76, 76, 76),
}
"""Tokens that the rules of splat.md allow in each part: none of them is impossible under a default."""


def counted(scenes: list[Gaussians]) -> dict[str, list[NDArray[np.int64]]]:
    """Token counts by kind: of each scene and its subsets, at every preset."""
    found: dict[str, list[NDArray[np.int64]]] = {"geometry": [], "sh": []}
    for scene in scenes:
        for size in (len(scene), *SUBSETS):
            rows = np.sort(np.random.default_rng(1).permutation(len(scene))[:size])
            part = scene.take(rows)
            weights = importance(part, views=16)
            for preset in PRESETS.values():
                geometry, sh = token_counts(part, preset, weights)
                found["geometry"].append(geometry)
                found["sh"].append(sh)
    return found


def smoothed(counts: list[Counts], alphabet: int) -> Model:
    """The model of a mean of counts, each (C, 256) of sum 1: every token of the alphabet gets a cost."""
    total = np.mean(counts, axis=0) * WEIGHT
    total = np.rint(total + PRIOR * total.sum(axis=0) / total.sum()).astype(np.int64)
    fitted = model.fit(total, most=TABLES)
    tables = [[*table[:alphabet], *[ABSENT] * (alphabet - len(table))] for table in fitted.costs]
    return Model(fitted.context_map, tuple(tuple(min(c, ABSENT - 1) for c in table) for table in tables))


def bits(fitted: Model, counts: Counts) -> float:
    """Mean bits of a token of counts of sum 1."""
    freqs = np.maximum(fitted.freqs[fitted.context_map].astype(np.float64), 1e-9)
    return float((counts * (12.0 - np.log2(freqs))).sum())


def clustered(counts: list[NDArray[np.int64]], alphabet: int) -> list[Model]:
    """At most DEFAULTS models of one part."""
    items = [c / c.sum() for c in counts if c.any()]
    alone = np.array([bits(smoothed([item], alphabet), item) for item in items])
    models = [smoothed(items, alphabet)]
    while True:
        for _ in range(ROUNDS):
            cost = np.array([[bits(fitted, item) for item in items] for fitted in models])
            owner = cost.argmin(axis=0)
            members = [[item for item, o in zip(items, owner, strict=True) if o == k] for k in range(len(models))]
            again = [smoothed(m, alphabet) if m else models[k] for k, m in enumerate(members)]
            if all(a.to_bytes() == b.to_bytes() for a, b in zip(models, again, strict=True)):
                break
            models = again
        if len(models) == min(DEFAULTS, len(items)):
            return models
        worst = int((cost.min(axis=0) - alone).argmax())
        models.append(smoothed([items[worst]], alphabet))


def main(out: str, *paths: str) -> None:
    """Train on scenes and write the models."""
    found = counted([splatpack.read(path) for path in paths])
    lines = []
    for kind in (defaults.GEOMETRY, defaults.SH):
        for part, (first, stop) in enumerate(kind.parts):
            models = clustered([c[first:stop] for c in found[kind.name]], ALPHABETS[kind.name][part])
            lines += [f"{kind.name} {part} {k} {m.to_bytes().hex()}\n" for k, m in enumerate(models, 1)]
    Path(out).write_text("".join(lines), "ascii", newline="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
