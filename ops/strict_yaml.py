"""The subset of YAML that the configuration may use, read without surprises.

Works on the parser's events, so nothing is ever built from a tag, an alias or a
document that is nested too deep. Scalars mean what a person reads: `true`, `false`,
decimal numbers, and text for everything else (`no`, `010`, `1:30`, dates).
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import yaml

from cell.contracts.errors import ConfigError

MAX_BYTES: Final = 256 * 1024
MAX_DEPTH: Final = 20
_MAX_NUMBER_LENGTH: Final = 40

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})

# The C parser is several times faster and refuses the same documents.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

KeyPath: TypeAlias = tuple[str | int, ...]
Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value]"


@dataclass(frozen=True, eq=False)
class StrictDocument:
    """What a file says, and where.

    Attributes:
        name: of the file, for messages.
        root: the mapping at the top.
        lines: line number of every value, counted from 1, by its path of keys.
    """

    name: str
    root: dict[str, Value]
    lines: dict[KeyPath, int]


def dotted(path: KeyPath) -> str:
    """Write a path of keys as people do: `cameras.overhead.position_m[2]`."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}"
    return text.lstrip(".")


def parse_strict_yaml(content: bytes, name: str) -> StrictDocument:
    """Read one document from the bytes of a file called `name`.

    Raises:
        ConfigError: it is not in the subset; the message says where and what to do.
    """
    text = _decode(content, name)
    composer = _Composer(name, iter(()))
    try:
        composer.events = iter(yaml.parse(text, Loader=_Loader))
        root = composer.read_document()
    except yaml.YAMLError as error:
        raise _syntax_error(error, name) from None
    return StrictDocument(name, root, composer.lines)


def _decode(content: bytes, name: str) -> str:
    if len(content) > MAX_BYTES:
        raise ConfigError(
            f"{name}: is larger than {MAX_BYTES // 1024} KiB;"
            " a configuration is a few KiB, so check that this is the right file"
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{name}, line {line}: is not UTF-8 text; save the file as UTF-8"
        ) from None
    if "\t" in text:
        line = text.count("\n", 0, text.index("\t")) + 1
        raise ConfigError(f"{name}, line {line}: holds a tab; use spaces instead")
    return text


def _syntax_error(error: yaml.YAMLError, name: str) -> ConfigError:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        where = f", line {error.problem_mark.line + 1}"
        problem = str(error.problem or error.context)
    else:
        where = ""
        problem = str(error).splitlines()[0]
    return ConfigError(
        f"{name}{where}: is not valid YAML ({problem});"
        " check indentation, quotes and brackets there"
    )


@dataclass(eq=False)
class _Composer:
    """Builds plain values from parser events and remembers their lines."""

    name: str
    events: Iterator[yaml.Event]
    lines: dict[KeyPath, int] = field(default_factory=dict)

    def read_document(self) -> dict[str, Value]:
        next(self.events)  # the start of the stream
        start = next(self.events)
        if isinstance(start, yaml.StreamEndEvent):
            raise ConfigError(f"{self.name}: is empty; start from the shipped file")
        if getattr(start, "version", None) or getattr(start, "tags", None):
            raise self._refused(start, (), "uses a % directive; remove that line")
        root = self._read_value(next(self.events), ())
        if not isinstance(root, dict):
            raise ConfigError(f"{self.name}: must hold keys and values at the top")
        next(self.events)  # the end of the document
        after = next(self.events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise self._refused(
                after, (), "starts a second document; keep one document in the file"
            )
        return root

    def _read_value(self, event: yaml.Event, path: KeyPath) -> Value:
        self._check_node(event, path)
        self.lines[path] = _line(event)
        if isinstance(event, yaml.MappingStartEvent):
            return self._read_mapping(path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._read_sequence(path)
        return self._read_scalar(event, path)

    def _check_node(self, event: yaml.Event, path: KeyPath) -> None:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise self._refused(
                event, path, "uses an anchor (&) or alias (*); write the value out"
            )
        if getattr(event, "tag", None):
            raise self._refused(event, path, "uses a tag (!); write a plain value")
        if len(path) >= MAX_DEPTH:
            raise self._refused(
                event, path, f"is nested deeper than {MAX_DEPTH} levels"
            )

    def _read_mapping(self, path: KeyPath) -> dict[str, Value]:
        mapping: dict[str, Value] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._read_key(event, path)
            if key in mapping:
                raise self._refused(
                    event,
                    (*path, key),
                    "is given twice, first in line"
                    f" {self.lines[*path, key]}; keep one of them",
                )
            mapping[key] = self._read_value(next(self.events), (*path, key))
        return mapping

    def _read_key(self, event: yaml.Event, path: KeyPath) -> str:
        self._check_node(event, path)
        if not isinstance(event, yaml.ScalarEvent) or not event.value:
            raise self._refused(event, path, "holds a key that is not a word")
        key = str(event.value)
        if key == "<<":
            raise self._refused(event, path, "merges keys (<<); write them out")
        return key

    def _read_sequence(self, path: KeyPath) -> list[Value]:
        values: list[Value] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            values.append(self._read_value(event, (*path, len(values))))
        return values

    def _read_scalar(self, event: yaml.Event, path: KeyPath) -> Value:
        if not isinstance(event, yaml.ScalarEvent):
            raise self._refused(event, path, "has no value; give one or drop the key")
        text = str(event.value)
        if event.style:  # quoted, or a block
            return text
        if text in _NOTHING:
            raise self._refused(event, path, "has no value; give one or drop the key")
        if text in ("true", "false"):
            return text == "true"
        if _NOT_FINITE.fullmatch(text):
            raise self._refused(event, path, f"is {text}, which is not a number")
        if not _DECIMAL.fullmatch(text):
            return text
        if len(text) > _MAX_NUMBER_LENGTH or math.isinf(float(text)):
            raise self._refused(event, path, "is a number beyond all use")
        return int(text) if _INTEGER.fullmatch(text) else float(text)

    def _refused(self, event: yaml.Event, path: KeyPath, what: str) -> ConfigError:
        key = f", {dotted(path)}" if path else ""
        return ConfigError(f"{self.name}, line {_line(event)}{key}: {what}")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1
