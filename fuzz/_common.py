"""The loop that all harnesses share: mutate, call, and let nothing but splatpack's own errors out."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from splatpack.errors import SplatpackError

Attempt = Callable[[np.random.Generator], tuple[bytes, Callable[[], object]]]


def mutate(rng: np.random.Generator, data: bytes) -> bytes:
    """Flip, overwrite, insert, delete, repeat or cut some bytes."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        if not out:
            return b""
        at = int(rng.integers(len(out)))
        kind = int(rng.integers(6))
        if kind == 0:
            out[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            out[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x80\0\0\0", b"\0\0\0\x80"])
        elif kind == 2:
            out[at:at] = rng.bytes(int(rng.integers(1, 5)))
        elif kind == 3:
            del out[at : at + int(rng.integers(1, 9))]
        elif kind == 4:
            out[at] = int(rng.integers(256))
        else:
            del out[at:]
    return bytes(out)


def run(attempt: Attempt, name: str) -> None:
    """Repeat ``attempt`` for the time that the command line gives; save the first input that gets through."""
    parser = argparse.ArgumentParser(description=f"fuzz {name}")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, default=None)
    args = parser.parse_args()
    seed = args.seed if args.seed is not None else int(time.time())
    rng = np.random.default_rng(seed)
    warnings.simplefilter("error")
    end, tries, accepted = time.monotonic() + args.seconds, 0, 0
    while time.monotonic() < end:
        data, call = attempt(rng)
        tries += 1
        try:
            call()
            accepted += 1
        except SplatpackError:
            continue
        except BaseException:
            found = Path(f"fuzz-{name}-{seed}-{tries}.bin")
            found.write_bytes(data)
            traceback.print_exc()
            print(f"{name}: seed {seed}, try {tries}: saved as {found}", file=sys.stderr)
            sys.exit(1)
    print(f"{name}: seed {seed}, {tries:,} inputs, {accepted:,} accepted, nothing found")
