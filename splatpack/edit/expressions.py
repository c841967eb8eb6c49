"""Expressions that choose Gaussians: ``opacity > 0.1 and (label == 3 or z < -2)``. Safe on untrusted input.

The text is parsed by Python's own parser and never compiled or executed: a tree of a few kinds of nodes is checked and
then walked, and whatever else Python could say is refused before a scene is looked at. There are numbers, the names of
:mod:`splatpack.edit.attributes`, extra columns, ``+ - * / %``, comparisons (chained ones too), ``in (1, 2)``,
``and or not``, and the functions of :data:`FUNCTIONS`.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splatpack.edit.attributes import ATTRIBUTES, extra
from splatpack.errors import UsageError
from splatpack.scene.gaussians import Gaussians

MAX_LENGTH = 1000
"""Characters of an expression."""

MAX_DEPTH = 50
"""Operations inside each other."""

FUNCTIONS: Mapping[str, tuple[int, Callable[..., Any]]] = {
    "abs": (1, np.abs), "sqrt": (1, np.sqrt), "log": (1, np.log), "exp": (1, np.exp),
    "min": (2, np.minimum), "max": (2, np.maximum),
}  # fmt: skip
"""Functions, with the count of their arguments."""

_ARITHMETIC: Mapping[type[ast.operator], Callable[..., Any]] = {
    ast.Add: np.add, ast.Sub: np.subtract, ast.Mult: np.multiply, ast.Div: np.divide, ast.Mod: np.mod,
}  # fmt: skip
_COMPARISONS: Mapping[type[ast.cmpop], Callable[..., Any]] = {
    ast.Lt: np.less, ast.LtE: np.less_equal, ast.Gt: np.greater, ast.GtE: np.greater_equal,
    ast.Eq: np.equal, ast.NotEq: np.not_equal,
}  # fmt: skip
Values = NDArray[Any]


class Expression:
    """A parsed expression.

    Parameters
    ----------
    text : str
        An extra column is called by its name, by ``extra["any name"]`` where the name is no Python identifier or that
        of an attribute, and with ``name[0]`` where it has several components.

    Raises
    ------
    UsageError
        The text is no such expression.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        if len(text) > MAX_LENGTH:
            raise UsageError(f"expression of {len(text):,} characters, expected at most {MAX_LENGTH:,}.")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the parser's remarks on style
                self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise self._error("no expression, expected something like: opacity > 0.1 and label == 3") from None
        self._check(self._tree, 0)

    def mask(self, scene: Gaussians) -> NDArray[np.bool_]:
        """Return for which Gaussians the expression holds, bool (N,); a comparison with NaN does not.

        Raises
        ------
        UsageError
            A name is neither an attribute nor an extra column, or the expression is a number and not a condition.
        """
        with np.errstate(all="ignore"):
            return np.broadcast_to(self._truth(self._tree, scene), (len(scene),)).copy()

    def _error(self, what: str) -> UsageError:
        return UsageError(f"expression {self.text[:200]!r}: {what}.")

    def _check(self, node: ast.AST, depth: int) -> None:
        """Refuse all nodes but those that :meth:`_value` knows, and everything nested too deeply."""
        if depth > MAX_DEPTH:
            raise self._error(f"nested more than {MAX_DEPTH} deep")
        inner: list[ast.expr]
        match node:
            case ast.Constant(value=bool() | int() | float() as value):
                if isinstance(value, int) and not -(2**63) <= value < 2**64:
                    raise self._error("an integer of more than 64 bits")
                inner = []
            case ast.Name() | ast.Subscript(value=ast.Name(id="extra"), slice=ast.Constant(value=str())):
                inner = []
            case ast.Subscript(
                value=ast.Name() | ast.Subscript(value=ast.Name(id="extra"), slice=ast.Constant(value=str())),
                slice=ast.Constant(value=int()),
            ):
                inner = []
            case ast.BoolOp():
                inner = node.values
            case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.UAdd()):
                inner = [node.operand]
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                inner = [node.left, node.right]
            case ast.Compare():
                inner = [node.left, *self._compared(node)]
            case ast.Call(func=ast.Name(id=name), keywords=[]) if name in FUNCTIONS:
                if len(node.args) != FUNCTIONS[name][0]:
                    raise self._error(f"{name} takes {FUNCTIONS[name][0]} numbers, not {len(node.args)}")
                inner = node.args
            case _:
                allowed = f"numbers, names, + - * / %, comparisons, in, and, or, not, {', '.join(FUNCTIONS)}"
                raise self._error(f"{ast.unparse(node)[:60]!r} is not allowed, expected {allowed}")
        for child in inner:
            self._check(child, depth + 1)

    def _compared(self, node: ast.Compare) -> list[ast.expr]:
        """Return the right sides of comparisons; those of ``in`` are listed in brackets."""
        out: list[ast.expr] = []
        for op, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(op, (ast.In, ast.NotIn)):
                if not isinstance(right, (ast.Tuple, ast.List, ast.Set)) or not right.elts:
                    raise self._error("expected numbers in brackets after 'in', such as label in (1, 2)")
                out += right.elts
            elif type(op) in _COMPARISONS:
                out.append(right)
            else:
                raise self._error("'is' is not allowed, expected ==")
        return out

    def _truth(self, node: ast.expr, scene: Gaussians) -> Values:
        value = self._value(node, scene)
        if value.dtype != bool:
            raise self._error(f"{ast.unparse(node)[:60]!r} is a number, expected a condition such as opacity > 0.1")
        return value

    def _number(self, node: ast.expr, scene: Gaussians) -> Values:
        value = self._value(node, scene)
        if value.dtype == bool:
            raise self._error(f"{ast.unparse(node)[:60]!r} is a condition, expected a number")
        return value

    def _float(self, node: ast.expr, scene: Gaussians) -> NDArray[np.float64]:
        return np.asarray(self._number(node, scene), np.float64)

    def _value(self, node: ast.expr, scene: Gaussians) -> Values:
        """Compute a checked node: arithmetic in float64, comparisons of integers as integers."""
        match node:
            case ast.Constant():
                return np.asarray(node.value)
            case ast.UnaryOp(op=ast.Not()):
                return ~self._truth(node.operand, scene)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as whole)) if whole <= 2**63:
                return np.asarray(-int(whole))
            case ast.UnaryOp():
                number = self._float(node.operand, scene)
                return -number if isinstance(node.op, ast.USub) else number
            case ast.BoolOp():
                join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
                truths = [self._truth(part, scene) for part in node.values]
                out = truths[0]
                for truth in truths[1:]:
                    out = join(out, truth)
                return out
            case ast.BinOp():
                left, right = self._float(node.left, scene), self._float(node.right, scene)
                return np.asarray(_ARITHMETIC[type(node.op)](left, right))
            case ast.Compare():
                return self._compare(node, scene)
            case ast.Call(func=ast.Name(id=name)):
                return np.asarray(FUNCTIONS[name][1](*(self._float(a, scene) for a in node.args)))
            case _:
                return self._named(node, scene)

    def _compare(self, node: ast.Compare, scene: Gaussians) -> Values:
        out: Values = np.asarray(True)
        left = self._number(node.left, scene)
        for op, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(right, (ast.Tuple, ast.List, ast.Set)):
                found: Values = np.asarray(False)
                for item in right.elts:
                    found = found | (left == self._number(item, scene))
                out = out & (found if isinstance(op, ast.In) else ~found)
            else:
                value = self._number(right, scene)
                out = out & _COMPARISONS[type(op)](left, value)
                left = value
        return np.asarray(out)

    def _named(self, node: ast.expr, scene: Gaussians) -> Values:
        """Return the values of a name, of ``extra["name"]``, or of a component of either."""
        component: int | None = None
        match node:
            case ast.Subscript(slice=ast.Constant(value=int() as j)):
                component, node = int(j), node.value
        match node:
            case ast.Subscript(slice=ast.Constant(value=str() as name)):
                column = extra(scene, name)
            case _:
                name = ast.unparse(node)
                column = ATTRIBUTES[name](scene) if name in ATTRIBUTES else extra(scene, name)
        if column.ndim == 1 and component is None:
            return column
        width = 0 if column.ndim == 1 else column.shape[1]
        if component is None or not 0 <= component < width:
            raise self._error(f"{name} has {width or 'no'} components, expected {name}{'[0]' if width else ''}")
        return column[:, component]
