"""Expressions: what they mean, and that nothing but a mask or a UsageError ever comes of a text."""

from __future__ import annotations

import builtins
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splatpack.edit.attributes import ATTRIBUTES
from splatpack.edit.expressions import FUNCTIONS, MAX_LENGTH, Expression
from splatpack.errors import UsageError
from splatpack.scene.gaussians import C0
from tests import synth

N = 200
RNG = np.random.default_rng(4)
SCENE = replace(
    synth.scene(N, 2, seed=5),
    extras={
        "label": RNG.integers(0, 5, N).astype(np.int32),
        "id": np.arange(N, dtype=np.uint64) + np.uint64(2**63),
        "score": np.where(np.arange(N) % 9 == 0, np.nan, RNG.random(N)).astype(np.float32),
        "normal": RNG.normal(size=(N, 3)).astype(np.float32),
        "odd name": np.arange(N, dtype=np.int16),
        "x": np.full(N, 7, np.uint8),
    },
)
X, Y, Z = SCENE.means.astype(np.float64).T
OPACITY = 1 / (1 + np.exp(-SCENE.opacities.astype(np.float64)))
LABEL = SCENE.extras["label"]
SCORE = SCENE.extras["score"]
DEVIATIONS = np.exp(np.sort(SCENE.scales.astype(np.float64), axis=1))

MEANINGS: list[tuple[str, Any]] = [
    ("label == 3", LABEL == 3),
    ("label in (1, 4)", (LABEL == 1) | (LABEL == 4)),
    ("label not in [1, 4]", (LABEL != 1) & (LABEL != 4)),
    ("opacity > 0.1 and (label == 3 or z < -1)", (OPACITY > 0.1) & ((LABEL == 3) | (Z < -1))),
    ("not opacity >= .5", ~(OPACITY >= 0.5)),
    ("-1 < x <= 2.5 != y", (X > -1) & (X <= 2.5) & (Y != 2.5)),
    ("x*x + y*y + z*z < 2 * 2", X * X + Y * Y + Z * Z < 4),
    ("-x + +y / 2 - 3 % 2 > 0", -X + Y / 2 - 1 > 0),
    ("sqrt(abs(x)) < max(y, min(z, 1))", np.sqrt(np.abs(X)) < np.maximum(Y, np.minimum(Z, 1))),
    ("scale_max > 10 * scale_min", DEVIATIONS[:, 2] > 10 * DEVIATIONS[:, 0]),
    ("log(scale_mid) < -4", np.log(DEVIATIONS[:, 1]) < -4),
    ("red > green", SCENE.sh0[:, 0, 0] > SCENE.sh0[:, 0, 1]),
    ("blue >= 0.5", 0.5 + C0 * SCENE.sh0[:, 0, 2].astype(np.float64) >= 0.5),
    ("sh_norm < 1", np.linalg.norm(SCENE.shN.astype(np.float64).reshape(N, -1), axis=1) < 1),
    ("index % 2 == 0 and index < 50", (np.arange(N) % 2 == 0) & (np.arange(N) < 50)),
    ("score > 0.5", SCORE > 0.5),
    ("normal[2] > 0", SCENE.extras["normal"][:, 2] > 0),
    ('extra["odd name"] >= 150', np.arange(N) >= 150),
    ('extra["normal"][0] < 0', SCENE.extras["normal"][:, 0] < 0),
    ('extra["x"] == 7 and x < 0', X < 0),
    ("id == 9223372036854775813", np.arange(N) == 5),
    ("qw > 0", SCENE.quats[:, 0] > 0),
    ("1 < 2", np.ones(N, bool)),
    ("True and label == 300", np.zeros(N, bool)),
    ("label > -9223372036854775808", np.ones(N, bool)),
    ("x > 1e999", np.zeros(N, bool)),
]


@pytest.mark.parametrize(("text", "want"), MEANINGS)
def test_meanings(text: str, want: Any) -> None:
    mask = Expression(text).mask(SCENE)
    assert mask.dtype == bool
    assert mask.flags.writeable
    assert np.array_equal(mask, want)


REFUSED = [
    ("", "no expression"),
    ("opacity >", "no expression"),
    ("\0", "no expression"),
    ("(" * 300, "no expression"),
    ("opacity", "is a number, expected a condition"),
    ("opacity and label == 3", "is a number"),
    ("(x > 1) + 1 > 0", "is a condition, expected a number"),
    ("(x > 1) > 0", "is a condition"),
    ("not x", "is a number"),
    ("__import__('os').system('true')", "not allowed"),
    ("x.__class__ == 1", "not allowed"),
    ("open('f') == 1", "not allowed"),
    ("(lambda: 1)() == 1", "not allowed"),
    ("[v for v in (1, 2)] == 1", "not allowed"),
    ("x > (y := 3)", "not allowed"),
    ("x ** 9 > 1", "not allowed"),
    ("x // 2 > 1", "not allowed"),
    ("x > 1 if y > 1 else z > 1", "not allowed"),
    ("label == '3'", "not allowed"),
    ("x > 1j", "not allowed"),
    ("x == None", "not allowed"),
    ("x is 1", "'is' is not allowed"),
    ("label in label", "brackets after 'in'"),
    ("label in ()", "brackets after 'in'"),
    ("sqrt(x, y) > 1", "sqrt takes 1 numbers, not 2"),
    ("max(x, key=y) > 1", "not allowed"),
    ("label == 18446744073709551616", "more than 64 bits"),
    ("-" * 60 + "x > 0", "nested more than 50 deep"),
    ("x > 0" + " and x > 0" * 200, "characters, expected at most 1,000"),
    ("labl == 3", r"no attribute or extra column 'labl', expected one of x, y, z.*of this scene: label, id, score"),
    ('extra["none"] == 3', "no attribute or extra column 'none'"),
    ("normal > 0", r"normal has 3 components, expected normal\[0\]"),
    ("normal[3] > 0", r"normal has 3 components"),
    ("label[0] > 0", "label has no components"),
    ("x[0][0] > 0", "not allowed"),
    ("x['a'] > 0", "not allowed"),
    ("normal[0:1] > 0", "not allowed"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Expression(text).mask(SCENE)


def test_an_unknown_column_is_found_even_in_an_empty_scene() -> None:
    empty = synth.scene(0)
    assert len(Expression("opacity > 0.5 and 1 == 1").mask(empty)) == 0
    with pytest.raises(UsageError, match="of this scene: none"):
        Expression("label == 3").mask(empty)


_MARKS = [
    *"()[]{}.,:;+-*/%<>=!&|^~@\"'\\#\n ",
    "==",
    "<=",
    "**",
    "//",
    ":=",
    "->",
    "0",
    "3",
    "1e9",
    "0x1f",
    "1_0",
    "2j",
]
_PYTHON = (
    "extra and or not in is if else lambda for __import__ eval exec open f'{x}' b'' None True ... await yield é 0or"
)
_WORDS = st.sampled_from([*ATTRIBUTES, *SCENE.extras, *FUNCTIONS, *_PYTHON.split(), *_MARKS])
_NUMBER = st.recursive(
    st.sampled_from(["x", "z", "opacity", "label", "normal[1]", "2", "0.5", "1e300", "9223372036854775807", "id"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/%"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda a: f"-{a}"),
        st.tuples(inner, inner).map(lambda t: f"max({t[0]}, {t[1]})"),
        inner.map(lambda a: f"log({a})"),
    ),
    max_leaves=6,
)
_TRUTH = st.recursive(
    st.tuples(_NUMBER, st.sampled_from(["<", ">=", "==", "!="]), _NUMBER).map(" ".join),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda a: f"not ({a})"),
    ),
    max_leaves=4,
)


def refuse(*args: object, **kwargs: object) -> None:
    raise AssertionError("an expression was executed")


def masked(text: str) -> bool:
    """Whether a text gives a mask; anything but a mask or a UsageError fails the test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("eval", "exec", "open"):
            patch.setattr(builtins, name, refuse)
        try:
            mask = Expression(text).mask(SCENE)
        except UsageError:
            return False
    assert mask.shape == (N,)
    assert mask.dtype == bool
    return True


@given(st.one_of(st.text(max_size=60), st.lists(_WORDS, max_size=25).map(" ".join)))
def test_a_text_of_anything_is_a_mask_or_a_usage_error(text: str) -> None:
    masked(text)


@given(_TRUTH)
def test_a_condition_always_gives_a_mask(text: str) -> None:
    assert len(text) > MAX_LENGTH or masked(text)
