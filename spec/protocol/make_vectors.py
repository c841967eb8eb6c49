"""Writes priority.json and messages.json: plain Python from ``spec/protocol.md``, no numpy, nothing of splatpack."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import msgpack

HERE = Path(__file__).resolve().parent


def turn(q: list[float]) -> list[list[float]]:
    """Return the rows of the matrix of a unit quaternion (w, x, y, z)."""
    w, x, y, z = q
    return [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]


def to_camera(point: list[float], pos: list[float], axes: list[list[float]]) -> list[float]:
    """Return the transposed axes times (point - pos)."""
    rel = [point[k] - pos[k] for k in range(3)]
    return [sum(axes[k][j] * rel[k] for k in range(3)) for j in range(3)]


def inside(p: list[float], ball: float, view: dict[str, Any]) -> bool:
    """Whether a ball meets the pyramid of the view."""
    ty = math.tan(view["fov_y"] / 2)
    tx = ty * view["viewport"][0] / view["viewport"][1]
    return (
        (abs(p[0]) - p[2] * tx) / math.sqrt(1 + tx * tx) < ball
        and (abs(p[1]) - p[2] * ty) / math.sqrt(1 + ty * ty) < ball
        and p[2] > -ball
    )


def moved(view: dict[str, Any], ahead: float) -> tuple[list[float], list[list[float]]]:
    """Return the place and the axes of the camera after ``ahead`` seconds."""
    speed = math.sqrt(sum(v * v for v in view["angvel"]))
    axes = turn(view["quat"])
    if speed > 0:
        half = speed * ahead / 2
        spin = turn([math.cos(half), *(v / speed * math.sin(half) for v in view["angvel"])])
        axes = [[sum(spin[i][k] * axes[k][j] for k in range(3)) for j in range(3)] for i in range(3)]
    return [view["pos"][k] + view["vel"][k] * ahead for k in range(3)], axes


def score(row: dict[str, Any], near: float, view: dict[str, Any], ahead: float) -> float:
    """Return the priority of one chunk, section 7.2."""
    middle = [(a + b) / 2 for a, b in zip(row["low"], row["high"], strict=True)]
    radius = math.dist(row["low"], row["high"]) / 2
    ball = radius + min(row["reach"], radius)
    gain = row["gain"] if row["gain"] > 0 else 4 ** row["level"] * radius**2
    p = to_camera(middle, view["pos"], turn(view["quat"]))
    dist = math.sqrt(sum(v * v for v in p))
    if inside(p, ball, view):
        vis = 1.0
    elif ahead > 0 and inside(to_camera(middle, *moved(view, ahead)), ball, view):
        vis = 0.5
    else:
        vis = 0.2 if p[2] > 0 else 0.05
    angle = 0.0 if dist <= ball else math.acos(max(-1.0, min(1.0, p[2] / dist))) - math.asin(min(ball / dist, 1.0))
    fade = 1 - 0.6 * min(max((math.degrees(angle) - 45) / 15, 0.0), 1.0)
    return math.sqrt(gain) / max(dist - radius, near) * vis * fade / math.sqrt(row["length"])


def together(rows: list[dict[str, Any]], value: list[float]) -> list[float]:
    """Return the scores after the chunks that replace one stand-in have been given one, section 7.2."""
    out = list(value)
    for i, row in enumerate(rows):
        group = [k for k, r in enumerate(rows) if r["parent"] == i]
        if row["successors"] and group:
            brought = sum(value[k] ** 2 * rows[k]["length"] for k in group)
            for k in group:
                out[k] = math.sqrt(brought / sum(rows[k]["length"] for k in group))
    return out


def error_pixels(row: dict[str, Any], near: float, view: dict[str, Any]) -> float | None:
    """Return the error of a chunk on the screen, section 7.3; None where it is not known."""
    if row["error"] == 0:
        return None
    middle = [(a + b) / 2 for a, b in zip(row["low"], row["high"], strict=True)]
    d = max(math.dist(middle, view["pos"]) - math.dist(row["low"], row["high"]) / 2, near)
    return float(row["error"] * view["viewport"][1] / (2 * d * math.tan(view["fov_y"] / 2)))


def _chunks(rng: random.Random, n: int, known: bool) -> list[dict[str, Any]]:
    rows = []
    for i in range(n):
        low = [rng.uniform(-4, 4) for _ in range(3)]
        rows.append({
            "low": low, "high": [v + rng.uniform(0.05, 2) for v in low],
            "reach": rng.choice([0.01, 0.3, 50.0]), "length": rng.randrange(2_000, 200_000),
            "level": rng.randrange(3), "error": rng.uniform(0.001, 0.1) if known else 0.0,
            "gain": rng.uniform(0.01, 9) if known else 0.0,
            "parent": rng.randrange(-1, i) if known and i > 4 else -1, "successors": 0,
        })  # fmt: skip
    for i, row in enumerate(rows):
        if rng.random() < 0.5:
            row["successors"] = sum(r["parent"] == i for r in rows)
    return rows


def _view(rng: random.Random, moving: bool) -> dict[str, Any]:
    q = [rng.gauss(0, 1) for _ in range(4)]
    norm = math.sqrt(sum(v * v for v in q))
    return {
        "pos": [rng.uniform(-6, 6) for _ in range(3)], "quat": [v / norm for v in q],
        "fov_y": rng.uniform(0.4, 1.6), "viewport": [rng.choice([640, 1920]), rng.choice([480, 1080])],
        "vel": [rng.uniform(-3, 3) if moving else 0.0 for _ in range(3)],
        "angvel": [rng.uniform(-2, 2) if moving else 0.0 for _ in range(3)], "tau": 1.0,
    }  # fmt: skip


def free(i: int, rows: list[dict[str, Any]], sent: list[int], pixels: list[float | None], tau: float) -> bool:
    """Whether a chunk may be sent, section 7.4."""
    parent = rows[i]["parent"]
    if parent < 0:
        return True
    above = rows[parent]["parent"]
    together = above >= 0 and rows[above]["successors"]
    group = [k for k, r in enumerate(rows) if r["parent"] == above] if together else [parent]
    error = pixels[parent]
    return all(k in sent for k in group) and (error is None or error > tau)


def ranked(rows: list[dict[str, Any]], near: float, view: dict[str, Any], ahead: float) -> dict[str, Any]:
    """Return scores, errors, and the order in which a scheduler sends everything it may, section 7.4."""
    value = together(rows, [score(r, near, view, ahead) for r in rows])
    pixels = [error_pixels(r, near, view) for r in rows]
    sent: list[int] = []
    while True:
        ready = [i for i in range(len(rows)) if i not in sent and free(i, rows, sent, pixels, view["tau"])]
        if not ready:
            return {"scores": value, "pixels": pixels, "order": sent}
        sent.append(min(ready, key=lambda i: (-value[i], i)))


def priority_cases() -> list[dict[str, Any]]:
    """Return scenes with and without what the optional columns say, seen by cameras at rest and moving."""
    rng = random.Random(20)
    cases = []
    for n, known, moving in (
        (1, False, False),
        (12, False, False),
        (40, True, False),
        (40, False, True),
        (60, True, True),
    ):
        rows = _chunks(rng, n, known)
        low = [min(r["low"][k] for r in rows) for k in range(3)]
        high = [max(r["high"][k] for r in rows) for k in range(3)]
        near = max(1e-3 * math.dist(low, high) / 2, 1e-9)
        for _ in range(3):
            view, ahead = _view(rng, moving), 0.4 if moving else 0.0
            cases.append(
                {"chunks": rows, "near": near, "view": view, "ahead": ahead, **ranked(rows, near, view, ahead)}
            )
    return cases


def _message(kind: int, body: Any) -> str:
    return (bytes([kind]) + msgpack.packb(body, use_bin_type=True)).hex()


VIEW = {"sid": 0, "seq": 1, "pos": [0, 1, 2.5], "quat": [1, 0, 0, 0], "fov_y": 1, "viewport": [640, 480]}

GOOD = [
    (1, {"versions": [1], "credit": 262144}),
    (1, {"versions": [1, 2], "credit": 0, "client": "x", "max_fragment": 1024, "new": [1]}),
    (2, {"version": 1, "idle": 120}),
    (3, {"sid": 0, "scene": "fox"}),
    (3, {"sid": 65535, "scene": "fox", "id": bytes(16), "have": b"\x78"}),
    (4, {"sid": 0, "id": bytes(16), "root": bytes(16), "length": 1000, "prefix": 300, "chunks": 3, "pages": 0}),
    (5, VIEW),
    (5, {**VIEW, "vel": [1, 0, 0], "angvel": [0, 0.5, 0], "tau": 2, "budget_bytes": 10**7, "budget_gaussians": 10**6}),
    (6, {"limit": 2**40}),
    (7, {"sid": 1}),
    (7, {"sid": 1, "ids": [0, 5, 4294967294]}),
    (8, {"sid": 1}),
    (9, {"sid": 1, "ids": []}),
    (11, {"sid": 1, "seq": 9}),
    (11, {"sid": 1}),
    (12, {"sid": 1, "t": 0.5}),
    (13, {"sid": 1, "rate": -1, "loop": True}),
    (14, {"rtt": 0.05}),
    (14, {}),
    (15, {"t": 1.5}),
    (16, {"t": 1}),
    (17, {"code": "scene", "message": "no", "sid": 3}),
    (18, {"sid": 3}),
]

BAD = {
    "no bytes at all": "",
    "kind 0": _message(0, {}),
    "a kind that is not defined": _message(19, {}),
    "no msgpack": "05c1",
    "a list": _message(6, [1]),
    "bytes behind the map": _message(6, {"limit": 1}) + "00",
    "a duplicate key": "0682a56c696d697401a56c696d697402",
    "a key that is no string": "068101a0",
    "a missing field": _message(6, {}),
    "an integer for a string": _message(3, {"sid": 0, "scene": 1}),
    "a boolean for an integer": _message(6, {"limit": True}),
    "a negative integer": _message(6, {"limit": -1}),
    "an integer that is too large": _message(18, {"sid": 65536}),
    "a float for an integer": _message(6, {"limit": 1.0}),
    "NaN": _message(5, {**VIEW, "fov_y": math.nan}),
    "infinity": _message(5, {**VIEW, "pos": [math.inf, 0, 0]}),
    "two coordinates": _message(5, {**VIEW, "pos": [0, 1]}),
    "a quaternion of length 1.01": _message(5, {**VIEW, "quat": [1.01, 0, 0, 0]}),
    "a field of view of 0": _message(5, {**VIEW, "fov_y": 0}),
    "a viewport of 0": _message(5, {**VIEW, "viewport": [0, 480]}),
    "a name of 201 characters": _message(3, {"sid": 0, "scene": "a" * 201}),
    "a name with a line break": _message(3, {"sid": 0, "scene": "a\n"}),
    "an id of 15 bytes": _message(3, {"sid": 0, "scene": "a", "id": bytes(15)}),
    "8,193 items": _message(7, {"sid": 0, "ids": [0] * 8193}),
    "an extension type": "06c70001",
    "a fragment without its header": "0a03",
    "a fragment without bytes": "0a" + "00" * 19,
    "a fragment past its item": "0a01" + "0000" + "00000000" + "01000000" + "00000000" + "00000000" + "0102",
    "a fragment with unknown flags": "0a83" + "0000" + "00000000" + "01000000" + "00000000" + "00000000" + "01",
    "the first fragment without its flag": "0a02" + "0000" + "00000000" + "01000000" + "00000000" + "00000000" + "01",
    "the last fragment without its flag": "0a01" + "0000" + "00000000" + "01000000" + "00000000" + "00000000" + "01",
}


def _jsonable(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    return {k: _jsonable(v) for k, v in value.items()} if isinstance(value, dict) else value


def main() -> None:
    """Write both files."""
    messages = {
        "good": [{"hex": _message(kind, body), "kind": kind, "body": _jsonable(body)} for kind, body in GOOD],
        "bad": [{"why": why, "hex": data, "close": 4400} for why, data in BAD.items()],
        "ignored": [{"why": "an extension", "hex": "80deadbeef"}],
    }
    (HERE / "messages.json").write_text(json.dumps(messages, indent=1) + "\n")
    (HERE / "priority.json").write_text(json.dumps(priority_cases(), indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
