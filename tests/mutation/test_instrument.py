"""Which mutants a piece of source has, and that the switch selects just one."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.mutation.instrument import MODULE_LEVEL, SWITCH, Mutant, instrument


def weave(source: str) -> tuple[dict[str, Any], tuple[Mutant, ...]]:
    woven = instrument("module", source, "module.py")
    names: dict[str, Any] = {SWITCH: 0}
    exec(woven.code, names)
    return names, woven.mutants


def changes_of(source: str) -> set[tuple[str, str]]:
    return {(mutant.operator, mutant.after) for mutant in weave(source)[1]}


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("a < b", {("comparison", "a > b"), ("boundary", "a <= b")}),
        ("a >= b", {("comparison", "a <= b"), ("boundary", "a > b")}),
        ("a == b", {("comparison", "a != b")}),
        ("a is b", {("comparison", "a is not b")}),
        (
            "a < b <= c",
            {
                ("comparison", "a > b <= c"),
                ("boundary", "a <= b <= c"),
                ("comparison", "a < b >= c"),
                ("boundary", "a < b < c"),
            },
        ),
        ("a + b", {("arithmetic", "a - b")}),
        ("a * b", {("arithmetic", "a / b")}),
        ("a / b", {("arithmetic", "a * b")}),
        ("a & b", {("arithmetic", "a | b")}),
        ("-a", {("negation", "a")}),
        ("a and b", {("boolean", "a or b"), ("boolean", "a"), ("boolean", "b")}),
        ("abs(a)", {("function", "a")}),
        ("np.sqrt(a)", {("function", "a")}),
        ("math.ceil(a)", {("function", "math.floor(a)")}),
        ("math.atan2(a, b)", {("function", "math.atan2(b, a)")}),
        ("all(a)", {("boolean", "any(a)")}),
        ("a['joint_min_rad']", {("min/max", "a['joint_max_rad']")}),
        ("a._low", {("min/max", "a._high")}),
        (
            "Field(ge=a, lt=b)",
            {("boundary", "Field(gt=a, lt=b)"), ("boundary", "Field(ge=a, le=b)")},
        ),
        (
            "min(a, b)",
            {("min/max", "max(a, b)"), ("min/max", "a"), ("min/max", "b")},
        ),
        (
            "math.isfinite(a)",
            {("function", "1 - math.isnan(a)"), ("function", "1 - math.isinf(a)")},
        ),
        ("zip(a, b, strict=True)", set()),
        ("f'{a:.3f}'", set()),
    ],
)  # fmt: skip
def test_an_expression_has_its_mutants(expression: Any, wanted: Any) -> None:
    source = f"def f(a, b, c):\n    x = {expression}\n    g(x)\n"
    removal = {("removal", "pass")}

    assert changes_of(source) - removal == wanted


@pytest.mark.parametrize(
    ("constant", "others"),
    [
        ("0", {"1"}),
        ("6", {"7", "5"}),
        ("0.0", {"0.1"}),
        ("2.0", {"2.2", "1.8"}),
        ("True", {"False"}),
        ("None", set()),
        ("'text'", set()),
    ],
)
def test_a_constant_has_its_neighbours(constant: Any, others: Any) -> None:
    source = f"def f():\n    g({constant})\n"

    changed = {after for operator, after in changes_of(source) if operator != "removal"}
    assert changed == others


def test_a_scratch_array_has_no_mutant_that_is_larger() -> None:
    source = "def f():\n    g(np.empty((3, 4)), np.zeros(5))\n"

    sizes = {after for operator, after in changes_of(source) if operator == "constant"}
    assert sizes == {"2", "3", "4", "6"}


def test_a_comparison_under_not_has_a_mutant_that_only_nan_tells_apart() -> None:
    names, mutants = weave("def f(a):\n    return not a >= 0.5\n")
    number = next(m.number for m in mutants if m.operator == "nan")

    assert [names["f"](value) for value in (0.4, 0.6, float("nan"))] == [1, 0, 1]
    names[SWITCH] = number
    assert [names["f"](value) for value in (0.4, 0.6, float("nan"))] == [1, 0, 0]


def test_statements_can_be_left_out_where_their_names_exist_without_them() -> None:
    source = (
        "def f(a, b):\n"
        "    '''Text.'''\n"
        "    first = a\n"
        "    a['x'] = b\n"
        "    a += 1\n"
        "    for x in b:\n"
        "        if x:\n"
        "            continue\n"
        "        break\n"
        "    if not b:\n"
        "        raise ValueError\n"
        "    g(first)\n"
        "    return a\n"
    )
    removed = [m.before for m in weave(source)[1] if m.operator == "removal"]

    assert removed == [
        "a['x'] = b",
        "a += 1",
        "continue",
        "break",
        "raise ValueError",
        "g(first)",
    ]


def test_returned_values_have_mutants() -> None:
    source = "def f(a):\n    if a:\n        return 'no', a, 1.0\n    return g(a)\n"

    returned = {after for operator, after in changes_of(source) if operator == "return"}
    assert returned == {"('no', 1 - a, 1.0)", "None"}


def test_what_is_unpacked_into_a_returned_value_is_left_out() -> None:
    names, mutants = weave("def f(a, *b):\n    return (a, *b)\n")

    returned = {mutant.after for mutant in mutants if mutant.operator == "return"}
    assert returned == {"(1 - a, *b)", "(a,)"}
    assert names["f"](1, 2, 3) == (1, 2, 3)


def test_returned_texts_have_mutants() -> None:
    source = "def f(a):\n    if a:\n        return f'{a}'\n    return ''\n"

    returned = {after for operator, after in changes_of(source) if operator == "return"}
    assert returned == {"''", "'mutated'"}


SOURCE = """
LIMIT = 3

class Guard:
    top: int = LIMIT * 2

    def check(self, value, low=-1):
        for i in range(2):
            if not low <= value < self.top:
                return False
        return value != 2
"""


def test_number_zero_is_what_was_written_and_every_other_number_is_one_change() -> None:
    plain: dict[str, Any] = {}
    exec(SOURCE, plain)
    names, mutants = weave(SOURCE)

    def answers(module: dict[str, Any]) -> list[bool]:
        return [module["Guard"]().check(value) for value in range(-2, 8)]

    assert answers(names) == answers(plain)
    woven = instrument("module", SOURCE, "module.py")
    for mutant in mutants:
        changed: dict[str, Any] = {SWITCH: mutant.number}
        exec(woven.code, changed)
        assert changed[SWITCH] == mutant.number
        expected: dict[str, Any] = {}
        exec(rewrite(SOURCE, mutant), expected)
        assert answers(changed) == answers(expected), mutant.key


def rewrite(source: str, mutant: Mutant) -> str:
    """The same change in the text of a line, where its place is written once."""
    lines = source.splitlines()
    line = lines[mutant.first_line - 1]
    after = mutant.after
    assert line.count(mutant.before) == 1, mutant.key
    lines[mutant.first_line - 1] = line.replace(mutant.before, after)
    return "\n".join(lines)


def test_what_takes_effect_at_import_is_known_as_early() -> None:
    _, mutants = weave(SOURCE)

    early = {(m.function, m.before) for m in mutants if m.is_early}
    assert early == {
        (MODULE_LEVEL, "3"),
        ("Guard", "LIMIT * 2"),
        ("Guard", "2"),
        ("Guard", "-1"),
        ("Guard", "1"),
    }


def test_keys_tell_repetitions_in_one_function_apart() -> None:
    _, mutants = weave("def f(a):\n    g(a + 1)\n    h(a + 1)\n")

    sums = [m.key for m in mutants if m.operator == "arithmetic"]
    assert sums == [
        "module f [arithmetic] a + 1 -> a - 1",
        "module f [arithmetic] a + 1 -> a - 1 (2)",
    ]


def test_lines_keep_their_numbers() -> None:
    names, _ = weave("\n\ndef f(a):\n    return (\n        1 / a\n    )\n")

    with pytest.raises(ZeroDivisionError) as caught:
        names["f"](0)

    assert caught.traceback[-1].lineno + 1 == 5


def test_code_that_nobody_calls_is_woven_without_harm() -> None:
    source = (
        "async def f(a: 'int' = 3) -> None:\n"
        "    x: float = 1.0\n"
        "    y = [i for i in range(3) if i]\n"
        "    match a:\n"
        "        case 1 | 2 if x > 0.5:\n"
        "            pass\n"
        "        case {'k': [1, *rest]}:\n"
        "            g(rest, *y, **x)\n"
        "    key = lambda v: -v\n"
        "    a[1:3, ..., key(2)] = a if x else (z := 4)\n"
        "    with g(1) as h, open('f'):\n"
        "        del a[0]\n"
        "    try:\n"
        "        yield x\n"
        "    except (ValueError, OSError):\n"
        "        raise\n"
        "    finally:\n"
        "        assert z == 4, 'text'\n"
    )

    names, mutants = weave(source)

    assert len({mutant.key for mutant in mutants}) == len(mutants) > 20
    assert isinstance(SimpleNamespace(**names).f, object)
