"""What the mutants of one expression or statement look like.

Every alternative is a syntax tree of its own, built from copies: what it is made from
stays as it was.
"""

import ast
import copy
from collections.abc import Iterator
from typing import NamedTuple


class Alternative(NamedTuple):
    """Another expression in the place of one, and the family it belongs to."""

    operator: str
    node: ast.expr


class StatementAlternative(NamedTuple):
    """Another statement in the place of one."""

    operator: str
    node: ast.stmt


_TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.Gt,
    ast.LtE: ast.GtE,
    ast.Gt: ast.Lt,
    ast.GtE: ast.LtE,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_EDGE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
}
# What `not a >= b` means for everything but NaN.
_COMPLEMENT: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_SWAPPED_CALLS = {
    "min": ("min/max", "max"),
    "max": ("min/max", "min"),
    "minimum": ("min/max", "maximum"),
    "maximum": ("min/max", "minimum"),
    "any": ("boolean", "all"),
    "all": ("boolean", "any"),
    "ceil": ("function", "floor"),
    "floor": ("function", "ceil"),
    "sin": ("function", "cos"),
    "cos": ("function", "sin"),
    "log": ("function", "exp"),
    "exp": ("function", "log"),
}
_CHOICES = {"min", "max", "minimum", "maximum"}
_WRAPPERS = {"abs", "fabs", "sqrt", "round"}
_SWAPPED_ARGUMENTS = {"atan2", "arctan2"}
_SWAPPED_WORDS = {"min": "max", "max": "min", "low": "high", "high": "low"}
_EDGE_KEYWORDS = {"gt": "ge", "ge": "gt", "lt": "le", "le": "lt"}
# Keywords that state an assumption and change nothing while it holds.
_IDLE_KEYWORDS = {"strict", "dtype", "copy"}


def find_alternatives(node: ast.expr) -> Iterator[Alternative]:
    """Yield every mutant of one expression, its parts left as they are."""
    match node:
        case ast.Compare():
            yield from _of_compare(node)
        case ast.UnaryOp():
            yield from _of_unary(node)
        case ast.BinOp():
            yield from _of_arithmetic(node)
        case ast.BoolOp():
            yield from _of_boolean(node)
        case ast.Constant():
            yield from _of_constant(node)
        case ast.Call():
            yield from _of_call(node)
        case ast.Subscript(slice=ast.Constant(value=str())):
            yield from _of_field(node)
        case ast.Attribute():
            yield from _of_attribute(node)
        case _:
            return


def negate(test: ast.expr) -> Iterator[Alternative]:
    """Yield the opposite of a condition; that of a `not` is among its own mutants."""
    if not (isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)):
        yield Alternative("negation", ast.UnaryOp(ast.Not(), copy.deepcopy(test)))


def change_returned(value: ast.expr) -> Iterator[Alternative]:
    """Yield other values for a function to return."""
    match value:
        case ast.Tuple():
            for index, element in enumerate(value.elts):
                if isinstance(element, ast.Constant | ast.JoinedStr | ast.Starred):
                    continue
                if _name_of(element) == "nan":
                    continue  # 1 - nan is the same
                changed = copy.deepcopy(value)
                # Turns the sign of an infinity as well.
                changed.elts[index] = ast.BinOp(
                    ast.Constant(1), ast.Sub(), copy.deepcopy(element)
                )
                yield Alternative("return", changed)
        case ast.Constant(value=str() as text):
            yield Alternative("return", ast.Constant("" if text else "mutated"))
        case ast.JoinedStr():
            yield Alternative("return", ast.Constant(""))
        case ast.Constant():
            return
        case _:
            yield Alternative("return", ast.Constant(None))


def find_statement_alternatives(
    node: ast.stmt, stores: dict[str, int], *, is_last: bool
) -> Iterator[StatementAlternative]:
    """Yield every mutant of one statement inside a function.

    Args:
        node: the statement.
        stores: how often the function assigns each of its names. Without its only
            assignment a name does not exist, which no test can miss.
        is_last: nothing of the function follows.
    """
    match node:
        case ast.AugAssign():
            swapped = _ARITHMETIC.get(type(node.op))
            if swapped is not None:
                changed = copy.deepcopy(node)
                changed.op = swapped()
                yield StatementAlternative("arithmetic", changed)
            yield StatementAlternative("removal", ast.Pass())
        case ast.Assign():
            if any(_may_go(target, stores) for target in node.targets):
                yield StatementAlternative("removal", ast.Pass())
        case ast.Return():
            if not is_last:
                yield StatementAlternative("removal", ast.Pass())
        case ast.Expr(value=ast.Call()) | ast.Raise():
            yield StatementAlternative("removal", ast.Pass())
        case ast.Continue() | ast.Break():
            yield StatementAlternative("removal", ast.Pass())
        case _:
            return


def _may_go(target: ast.expr, stores: dict[str, int]) -> bool:
    if isinstance(target, ast.Tuple | ast.List):
        return any(_may_go(element, stores) for element in target.elts)
    if isinstance(target, ast.Name):
        return stores.get(target.id, 0) > 1
    return True


def _of_compare(node: ast.Compare) -> Iterator[Alternative]:
    for index, op in enumerate(node.ops):
        for operator, table in (("comparison", _TURNED), ("boundary", _EDGE)):
            if type(op) in table:
                changed = copy.deepcopy(node)
                changed.ops[index] = table[type(op)]()
                yield Alternative(operator, changed)


def _of_unary(node: ast.UnaryOp) -> Iterator[Alternative]:
    if isinstance(node.op, ast.Not | ast.USub | ast.Invert):
        yield Alternative("negation", copy.deepcopy(node.operand))
    match node:
        case ast.UnaryOp(ast.Not(), ast.Compare(ops=[op]) as test):
            if type(op) in _COMPLEMENT:
                changed = copy.deepcopy(test)
                changed.ops[0] = _COMPLEMENT[type(op)]()
                yield Alternative("nan", changed)
        case _:
            return


def _of_arithmetic(node: ast.BinOp) -> Iterator[Alternative]:
    swapped = _ARITHMETIC.get(type(node.op))
    if swapped is not None:
        changed = copy.deepcopy(node)
        changed.op = swapped()
        yield Alternative("arithmetic", changed)


def _of_boolean(node: ast.BoolOp) -> Iterator[Alternative]:
    changed = copy.deepcopy(node)
    changed.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    yield Alternative("boolean", changed)
    for left_out in range(len(node.values)):
        rest = [
            copy.deepcopy(value)
            for index, value in enumerate(node.values)
            if index != left_out
        ]
        shorter = rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
        yield Alternative("boolean", shorter)


def _of_constant(node: ast.Constant) -> Iterator[Alternative]:
    value = node.value
    if isinstance(value, bool):
        yield Alternative("boolean", ast.Constant(not value))
    elif isinstance(value, int):
        yield Alternative("constant", ast.Constant(value + 1))
        if value != 0:  # the element before the first is the last one
            yield Alternative("constant", ast.Constant(value - 1))
    elif isinstance(value, float):
        others = (0.1,) if value == 0.0 else (value * 1.1, value * 0.9)
        for other in others:
            yield Alternative("constant", ast.Constant(other))


def _of_call(node: ast.Call) -> Iterator[Alternative]:
    name = _name_of(node.func)
    if name in _SWAPPED_CALLS:
        operator, other = _SWAPPED_CALLS[name]
        yield Alternative(operator, _renamed(node, other))
    if name in _CHOICES and len(node.args) > 1:
        for left_out in range(len(node.args)):
            yield Alternative("min/max", _without_argument(node, left_out))
    if name in _WRAPPERS and len(node.args) == 1:
        yield Alternative("function", copy.deepcopy(node.args[0]))
    if name == "isfinite":
        for other in ("isnan", "isinf"):
            # Arrays and single truth values both turn around this way.
            one = ast.Constant(1)
            turned = ast.BinOp(one, ast.Sub(), _renamed(node, other))
            yield Alternative("function", turned)
    if name in _SWAPPED_ARGUMENTS and len(node.args) == 2:
        changed = copy.deepcopy(node)
        changed.args.reverse()
        yield Alternative("function", changed)
    for index, keyword in enumerate(node.keywords):
        if keyword.arg in _EDGE_KEYWORDS:
            changed = copy.deepcopy(node)
            changed.keywords[index].arg = _EDGE_KEYWORDS[keyword.arg]
            yield Alternative("boundary", changed)


def find_sizes(node: ast.Call) -> Iterator[ast.Constant]:
    """Yield the sizes of an array that is made empty, as scratch.

    One that is too small is noticed; what is too large about it is never read.
    """
    if _name_of(node.func) == "empty":
        for argument in node.args:
            for part in ast.walk(argument):
                if isinstance(part, ast.Constant):
                    yield part


def is_idle_keyword(keyword: ast.keyword) -> bool:
    """Tell whether the value of a keyword argument is left alone."""
    return keyword.arg in _IDLE_KEYWORDS


def _of_field(node: ast.Subscript) -> Iterator[Alternative]:
    assert isinstance(node.slice, ast.Constant)
    word = _swap_word(str(node.slice.value))
    if word is not None:
        changed = copy.deepcopy(node)
        changed.slice = ast.Constant(word)
        yield Alternative("min/max", changed)


def _of_attribute(node: ast.Attribute) -> Iterator[Alternative]:
    word = _swap_word(node.attr)
    if word is not None:
        changed = copy.deepcopy(node)
        changed.attr = word
        yield Alternative("min/max", changed)


def _swap_word(name: str) -> str | None:
    """Return a name with its `min` turned into `max` and so on, if it has one."""
    words = name.split("_")
    swapped = [_SWAPPED_WORDS.get(word, word) for word in words]
    return "_".join(swapped) if swapped != words else None


def _name_of(function: ast.expr) -> str:
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _renamed(call: ast.Call, name: str) -> ast.Call:
    changed = copy.deepcopy(call)
    match changed.func:
        case ast.Name():
            changed.func.id = name
        case ast.Attribute():
            changed.func.attr = name
    return changed


def _without_argument(call: ast.Call, left_out: int) -> ast.expr:
    rest = [
        copy.deepcopy(argument)
        for index, argument in enumerate(call.args)
        if index != left_out
    ]
    if len(rest) == 1 and not isinstance(rest[0], ast.Starred):
        return rest[0]
    changed = copy.deepcopy(call)
    changed.args = rest
    return changed
