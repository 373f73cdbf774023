"""One change at a time in a Python file: what people and machines get wrong in arithmetic."""

import ast
import copy
import random
from dataclasses import dataclass

__all__ = ["Change", "changes_of"]

_OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult,
              ast.FloorDiv: ast.Mult, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
              ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.Pow: ast.Mult}
_COMPARISONS = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
                ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
                ast.In: ast.NotIn, ast.NotIn: ast.In}
_NAMES = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum",
          "floor": "ceil", "ceil": "floor", "any": "all", "all": "any"}
# Calls that only narrow or bound their first argument; a counter's is its second.
_NARROWING = {"saturate": 0, "bound": 0, "round_shift": 0, "clip": 0, "rint": 0, "count": 1}
# Only what a number goes through is changed.
_SKIPPED = (ast.Raise, ast.JoinedStr, ast.Import, ast.ImportFrom, ast.AnnAssign)


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change and the file with it.

    Parameters
    ----------
    line : int
    name : str
        The line as it was, what was there, and what is there now; no number, so that it stays.
    text : str
    """

    line: int
    name: str
    text: str


def _replacements(node: ast.AST):
    """What may stand there instead."""
    new = copy.deepcopy(node)
    if isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in _OPERATORS:
        new.op = _OPERATORS[type(node.op)]()
        yield new
    elif isinstance(node, ast.UnaryOp):
        yield new.operand
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARISONS:
        new.ops[0] = _COMPARISONS[type(node.ops[0])]()
        yield new
    elif isinstance(node, ast.BoolOp):
        new.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield new
    elif isinstance(node, ast.IfExp):
        new.body, new.orelse = new.orelse, new.body
        yield new
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield ast.Constant(node.value + 1)
        yield ast.Constant(node.value - 1)
    elif isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(
            node.func, "id", "")
        if called in _NAMES:
            if isinstance(node.func, ast.Attribute):
                new.func.attr = _NAMES[called]
            else:
                new.func.id = _NAMES[called]
            yield new
        if called in _NARROWING and len(node.args) > _NARROWING[called]:
            yield new.args[_NARROWING[called]]


def _places(node: ast.AST, skip=_SKIPPED):
    """(parent, field, index or None) of every expression that may be changed."""
    for field, value in ast.iter_fields(node):
        # Annotations, default values and decorators are no arithmetic.
        if field in ("annotation", "returns", "decorator_list", "args") and not isinstance(
                node, ast.Call) or isinstance(node, ast.ClassDef) and field == "bases":
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST) and not isinstance(child, skip):
                yield node, field, index, child
                yield from _places(child)


def changes_of(text: str, most: int, seed: int) -> list:
    """All changes of a file, or ``most`` of them, drawn.

    Parameters
    ----------
    text : str
    most : int
    seed : int

    Returns
    -------
    list of Change
    """
    tree, made, lines = ast.parse(text), [], text.splitlines()
    for parent, field, index, child in _places(tree):
        for new in _replacements(child):
            def put(value, parent=parent, field=field, index=index):
                if index is None:
                    setattr(parent, field, value)
                else:
                    getattr(parent, field)[index] = value

            put(ast.fix_missing_locations(ast.copy_location(new, child)))
            changed = ast.unparse(tree)
            put(child)
            made.append(Change(line=child.lineno, text=changed, name=(
                f"{lines[child.lineno - 1].strip()} | {ast.unparse(child)} -> "
                f"{ast.unparse(new)}")))
    if len(made) <= most:
        return made
    chosen = sorted(random.Random(seed).sample(range(len(made)), most))
    return [made[k] for k in chosen]
