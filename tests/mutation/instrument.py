"""All mutants of a module in one piece of code, switched by a number at run time.

Each place that has mutants becomes a choice: `a < b` turns into
`(a <= b if _mutant_ == 7 else a < b)`. Number 0 is the module as it was written. Lines
keep their numbers, so what a test reaches can still be measured.

Annotations of functions, decorators, patterns of `match`, texts put together from
parts and documentation are left alone.
"""

import ast
import copy
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import CodeType

from tests.mutation.operators import (
    Alternative,
    StatementAlternative,
    change_returned,
    find_alternatives,
    find_sizes,
    find_statement_alternatives,
    is_idle_keyword,
    negate,
)

SWITCH = "_mutant_"
"""Name of the module's global that selects the mutant."""

MODULE_LEVEL = "(module)"


@dataclass(frozen=True)
class Mutant:
    """One change of one place.

    Attributes:
        number: what the switch is set to.
        module: name of the changed module.
        function: qualified name of the function, or `MODULE_LEVEL`.
        first_line: where the place begins.
        last_line: where it ends.
        operator: family of the change.
        before: source text of the place.
        after: source text of the mutant.
        repetition: how many like it come before it in the same function.
        is_early: it takes effect while the module is imported.
    """

    number: int
    module: str
    function: str
    first_line: int
    last_line: int
    operator: str
    before: str
    after: str
    repetition: int
    is_early: bool

    @property
    def key(self) -> str:
        """Return a name that outlives changes elsewhere in the module."""
        again = f" ({self.repetition + 1})" if self.repetition else ""
        place = f"{self.module} {self.function}"
        return f"{place} [{self.operator}] {self.before} -> {self.after}{again}"


@dataclass(frozen=True)
class Instrumented:
    """A module with its mutants inside."""

    module: str
    path: str
    code: CodeType
    mutants: tuple[Mutant, ...]


def instrument(module: str, source: str, path: str) -> Instrumented:
    """Build all mutants of a module into its code."""
    tree = ast.parse(source, path)
    weaver = _Weaver(module)
    woven = ast.fix_missing_locations(weaver.visit(tree))
    assert isinstance(woven, ast.Module)
    # As in the file itself, nothing of this module's own future imports.
    code = compile(woven, path, "exec", dont_inherit=True)
    return Instrumented(module, path, code, tuple(weaver.mutants))


class _Weaver(ast.NodeTransformer):
    def __init__(self, module: str) -> None:
        self.mutants: list[Mutant] = []
        self._module = module
        self._scopes: list[str] = []
        self._functions = 0
        self._stores: list[dict[str, int]] = [{}]
        self._last_statements: set[int] = set()
        # Mutants that a place has because of what surrounds it, by identity.
        self._from_outside: dict[int, list[Alternative]] = {}
        self._left_alone: set[int] = set()
        # Sizes of scratch arrays, whose growth changes nothing, by identity.
        self._sizes: set[int] = set()
        self._seen: Counter[tuple[str, str, str, str]] = Counter()

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.expr):
            return self._visit_expression(node)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return self._visit_function(node)
        if isinstance(node, ast.ClassDef):
            return self._visit_class(node)
        if isinstance(node, ast.stmt):
            return self._visit_statement(node)
        if isinstance(node, ast.match_case):
            node.guard = self.visit(node.guard) if node.guard else None  # type: ignore[assignment]
            self._visit_body(node.body)
            return node
        if isinstance(node, ast.keyword) and is_idle_keyword(node):
            return node
        return self.generic_visit(node)

    def _visit_body(self, body: list[ast.stmt]) -> None:
        body[:] = [self.visit(statement) for statement in body]  # type: ignore[misc]

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        # Defaults are computed where the function is defined.
        node.args.defaults[:] = [
            self._visit_expression(default) for default in node.args.defaults
        ]
        node.args.kw_defaults[:] = [
            self._visit_expression(default) if default else None
            for default in node.args.kw_defaults
        ]
        self._scopes.append(node.name)
        self._functions += 1
        self._stores.append(_count_stores(node))
        self._last_statements.add(id(node.body[-1]))
        self._visit_body(node.body)
        self._stores.pop()
        self._functions -= 1
        self._scopes.pop()
        return node

    def _visit_class(self, node: ast.ClassDef) -> ast.AST:
        self._scopes.append(node.name)
        self._visit_body(node.body)
        self._scopes.pop()
        return node

    def _visit_statement(self, node: ast.stmt) -> ast.AST:
        if isinstance(node, ast.Import | ast.ImportFrom) or _is_text(node):
            return node
        alternatives: list[StatementAlternative] = []
        if self._functions:
            alternatives = list(
                find_statement_alternatives(
                    node, self._stores[-1], is_last=id(node) in self._last_statements
                )
            )
        match node:
            case ast.If() | ast.While() | ast.Assert():
                self._add_from_outside(node.test, negate(node.test))
            case ast.Return(value=ast.expr() as value):
                self._add_from_outside(value, change_returned(value))
            case ast.AnnAssign() if self._functions:
                # Not evaluated inside of functions.
                self._leave_alone(node.annotation)
            case _:
                pass
        numbers = self._register(node, alternatives)
        woven = self.generic_visit(node)
        assert isinstance(woven, ast.stmt)
        for number, alternative in zip(numbers, alternatives, strict=True):
            choice = ast.If(_is_on(number), [alternative.node], [woven])
            woven = ast.copy_location(choice, node)
        return woven

    def _visit_expression(self, node: ast.expr) -> ast.expr:
        if id(node) in self._left_alone:
            return node
        pristine = copy.deepcopy(node)
        if isinstance(node, ast.IfExp):
            self._add_from_outside(node.test, negate(node.test))
        alternatives = self._from_outside.pop(id(node), [])
        if not isinstance(getattr(node, "ctx", None), ast.Store | ast.Del):
            alternatives += find_alternatives(pristine)
        if id(node) in self._sizes:
            alternatives = alternatives[1:]
        alternatives = _without_repeats(alternatives)
        numbers = self._register(pristine, alternatives)
        if isinstance(node, ast.Call):
            self._sizes.update(id(size) for size in find_sizes(node))
        woven = self._visit_parts(node)
        return self._choose(node, woven, numbers, alternatives)

    def _visit_parts(self, node: ast.expr) -> ast.expr:
        match node:
            case ast.JoinedStr():
                return node
            case ast.Lambda():
                self._functions += 1
                node.body = self._visit_expression(node.body)
                self._functions -= 1
                return node
            case ast.Call(func=ast.Attribute() as function):
                # Names of functions have mutants with the call.
                function.value = self._visit_expression(function.value)
                self._leave_alone(function)
            case _:
                pass
        woven = self.generic_visit(node)
        assert isinstance(woven, ast.expr)
        return woven

    def _choose(
        self,
        place: ast.expr,
        woven: ast.expr,
        numbers: Sequence[int],
        alternatives: Sequence[Alternative],
    ) -> ast.expr:
        if not numbers:
            return woven
        choice = alternatives[-1].node
        for number, alternative in zip(
            numbers[-2::-1], alternatives[-2::-1], strict=True
        ):
            choice = ast.IfExp(_is_on(number), alternative.node, choice)
        whether = _is_on(numbers[0])
        if len(numbers) > 1:
            whether = _is_between(numbers[0], numbers[-1])
        return ast.copy_location(ast.IfExp(whether, choice, woven), place)

    def _add_from_outside(self, node: ast.expr, more: Iterable[Alternative]) -> None:
        self._from_outside.setdefault(id(node), []).extend(more)

    def _leave_alone(self, node: ast.expr) -> None:
        self._left_alone.add(id(node))

    def _register(
        self,
        place: ast.expr | ast.stmt,
        alternatives: Sequence[Alternative | StatementAlternative],
    ) -> list[int]:
        if not alternatives:
            return []
        before = ast.unparse(place)
        function = ".".join(self._scopes) or MODULE_LEVEL
        numbers = []
        for operator, node in alternatives:
            after = ast.unparse(ast.fix_missing_locations(copy.deepcopy(node)))
            alike = (function, operator, before, after)
            mutant = Mutant(
                number=len(self.mutants) + 1,
                module=self._module,
                function=function,
                first_line=place.lineno,
                last_line=place.end_lineno or place.lineno,
                operator=operator,
                before=before,
                after=after,
                repetition=self._seen[alike],
                is_early=not self._functions,
            )
            self._seen[alike] += 1
            self.mutants.append(mutant)
            numbers.append(mutant.number)
        return numbers


def _without_repeats(alternatives: list[Alternative]) -> list[Alternative]:
    kept: dict[str, Alternative] = {}
    for alternative in alternatives:
        node = ast.fix_missing_locations(copy.deepcopy(alternative.node))
        kept.setdefault(ast.unparse(node), alternative)
    return list(kept.values())


def _count_stores(function: ast.AST) -> dict[str, int]:
    return Counter(
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_on(number: int) -> ast.Compare:
    return ast.Compare(ast.Name(SWITCH, ast.Load()), [ast.Eq()], [ast.Constant(number)])


def _is_between(first: int, last: int) -> ast.Compare:
    return ast.Compare(
        ast.Constant(first),
        [ast.LtE(), ast.LtE()],
        [ast.Name(SWITCH, ast.Load()), ast.Constant(last)],
    )
