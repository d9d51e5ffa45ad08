"""The YAML subset: what is refused, and what plain scalars mean."""

import time
import tracemalloc

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cell.contracts.errors import ConfigError
from ops.strict_yaml import MAX_BYTES, Value, parse_strict_yaml


def read(text: str) -> dict[str, Value]:
    return parse_strict_yaml(text.encode(), "config.yaml").root


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("true", True),
        ("false", False),
        ("0", 0),
        ("-7", -7),
        ("+7", 7),
        ("1.50", 1.5),
        ("1.", 1.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1E-3", 0.001),
        ("-0.0", -0.0),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("Off", "Off"),
        ("True", "True"),
        ("010", "010"),
        ("-01.5", "-01.5"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        ("0b11", "0b11"),
        ("0o17", "0o17"),
        ("2026-11-21", "2026-11-21"),
        ("2026-11-21T07:00:00Z", "2026-11-21T07:00:00Z"),
        ("=", "="),
        ('"12"', "12"),
        ("'true'", "true"),
        ("192.168.1.10", "192.168.1.10"),
        ("plain words", "plain words"),
    ],
)
def test_a_scalar_means_what_a_person_reads(written: str, meant: Value) -> None:
    value = read(f"key: {written}")["key"]

    assert value == meant
    assert type(value) is type(meant)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("# nothing but a comment\n", "is empty"),
        ("- a\n- b\n", "keys and values at the top"),
        ("word\n", "keys and values at the top"),
        ("a: 1\na: 2\n", "given twice, first in line 1"),
        ("a: &x 1\nb: *x\n", "anchor"),
        ("a: *x\n", "alias"),
        ("&x a: 1\n", "anchor"),
        ("a: !!int 3\n", "tag"),
        ("a: !!python/object/apply:os.system ['true']\n", "tag"),
        ("!!map {a: 1}\n", "tag"),
        ("a: !own 3\n", "tag"),
        ("%YAML 1.1\n---\na: 1\n", "% directive"),
        ("%TAG ! tag:x,2000:\n---\na: 1\n", "% directive"),
        ("a: 1\n---\nb: 2\n", "second document"),
        ("a: {<<: {b: 1}}\n", "merges keys"),
        ("a:\n", "has no value"),
        ("a: null\n", "has no value"),
        ("a: ~\n", "has no value"),
        ("a: .nan\n", "not a number"),
        ("a: -.inf\n", "not a number"),
        ("a: .Inf\n", "not a number"),
        ("a: 1e999\n", "beyond all use"),
        (f"a: {'9' * 5000}\n", "beyond all use"),
        ("a:\t1\n", "tab"),
        ("a: [1, 2\n", "not valid YAML"),
        ("a: 1\n  b: 2\n", "not valid YAML"),
        ("a: 'open\n", "not valid YAML"),
        ("[a, b]: 1\n", "not a word"),
        ("? {a: 1}\n: 2\n", "not a word"),
        ("a: \x01\n", "not valid YAML"),
        ("a: " + "[" * 30 + "]" * 30, "nested deeper"),
    ],
)
def test_what_is_outside_the_subset_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)

    assert reason in str(caught.value)


def test_an_error_names_line_and_key() -> None:
    with pytest.raises(ConfigError) as caught:
        read("arm:\n  host: a\n  tool:\n    - {x: 1}\n    - {x: .nan}\n")

    assert str(caught.value).startswith("config.yaml, line 5, arm.tool[1].x: ")


@pytest.mark.parametrize(
    "content", [b"a: \xff\n", "a: 1\n".encode("utf-16"), b"a: \xc3\x28\n"]
)
def test_other_encodings_than_utf8_are_refused(content: bytes) -> None:
    with pytest.raises(ConfigError, match="UTF-8"):
        parse_strict_yaml(content, "config.yaml")


def test_a_byte_order_mark_is_read_over() -> None:
    assert parse_strict_yaml(b"\xef\xbb\xbfa: 1\n", "config.yaml").root == {"a": 1}


def test_a_file_beyond_the_size_limit_is_refused() -> None:
    with pytest.raises(ConfigError, match="256 KiB"):
        read("a: " + "x" * MAX_BYTES)


def test_an_alias_bomb_is_refused_without_being_expanded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 200)]
    tracemalloc.start()

    with pytest.raises(ConfigError, match="anchor"):
        read("\n".join(lines))

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_deep_nesting_as_large_as_allowed_ends_at_the_depth_limit() -> None:
    started = time.monotonic()

    with pytest.raises(ConfigError, match="nested deeper"):
        read("a: " + "[" * (MAX_BYTES - 10))

    assert time.monotonic() - started < 10.0


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    try:
        content = text.encode()
    except UnicodeEncodeError:
        return
    try:
        parse_strict_yaml(content, "config.yaml")
    except ConfigError as error:
        message = str(error)
    else:
        return
    assert message.startswith("config.yaml")


_PLAIN = st.recursive(
    st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | st.from_regex(r"[a-z][a-z ]{0,10}[a-z]", fullmatch=True),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.from_regex(r"[a-z]{1,8}", fullmatch=True), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@given(
    st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), _PLAIN, min_size=1)
)
def test_what_an_ordinary_writer_writes_is_read_back(values: dict[str, Value]) -> None:
    class PlainDumper(yaml.SafeDumper):
        def ignore_aliases(self, data: object) -> bool:
            return True

    written = yaml.dump(values, Dumper=PlainDumper)

    assert read(written) == values
