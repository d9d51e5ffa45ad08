"""Turns what pydantic says about a configuration into sentences for a person."""

import difflib
import re
from collections.abc import Mapping
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from ops.strict_yaml import KeyPath, StrictDocument, dotted

_MOST_SENTENCES: Final = 5
_KEY = re.compile(r"[a-z_][a-z0-9_]*(?:\.[a-z0-9_]+|\[[0-9]+\])*")
_STEP = re.compile(r"[a-z0-9_]+")
_SUBJECT = re.compile(r"^(Input|String|Value|Tuple|List|Number) should ")

_EXPECTED: Final = {
    "string_type": "must be text; put it in quotes",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number, without quotes, unit or leading zero",
    "int_from_float": "must be a whole number",
    "float_type": "must be a decimal number, without quotes or unit",
    "tuple_type": "must be a list in [brackets]",
    "mapping_type": "must hold keys and values",
    "dict_type": "must hold keys and values",
    "model_type": "must hold keys and values",
    "model_attributes_type": "must hold keys and values",
}


def describe(
    error: ValidationError, document: StrictDocument, model: type[BaseModel]
) -> str:
    """Say what is wrong, one line for each of the first few errors.

    Each names file, line and key, what was given and what is allowed.
    """
    details = error.errors(include_url=False)
    sentences = [_describe_one(one, document, model) for one in details]
    if len(sentences) > _MOST_SENTENCES:
        more = len(sentences) - _MOST_SENTENCES
        noun = "error" if more == 1 else "errors"
        sentences[_MOST_SENTENCES:] = [f"{document.name}: and {more} more {noun}"]
    return "\n".join(sentences)


def _describe_one(
    detail: Mapping[str, Any], document: StrictDocument, model: type[BaseModel]
) -> str:
    path, siblings = _locate(detail["loc"], document, model)
    explanation = _explain(detail, path, siblings)
    is_rule = detail["type"] == "value_error" and isinstance(detail["input"], dict)
    written = is_rule and _find_named_key(explanation, path, document)
    if not written:
        written = path
        while written and written not in document.lines:
            written = written[:-1]
    is_placed = bool(path or written) and written in document.lines
    line = f", line {document.lines[written]}" if is_placed else ""
    key = f", {dotted(path)}" if path else ""
    return f"{document.name}{line}{key}: {explanation}"


def _find_named_key(text: str, section: KeyPath, document: StrictDocument) -> KeyPath:
    """Return the first key that a rule of a section speaks of and the file holds.

    Args:
        text: the rule's sentence; it names keys from the top, or within its section.
        section: what the rule belongs to, empty for the whole document.
        document: with the lines of its keys.

    Returns:
        Its path, empty where there is none. A plain word counts within a section
        alone: at the top it would be a section's name, which says too little.
    """
    for name in _KEY.findall(text):
        steps = tuple(int(s) if s.isdigit() else s for s in _STEP.findall(name))
        for path in (steps, (*section, *steps)):
            if path in document.lines and len(path) > max(len(section), 1):
                return path
    return ()


def _explain(detail: Mapping[str, Any], path: KeyPath, siblings: list[str]) -> str:
    kind = detail["type"]
    context = detail.get("ctx", {})
    given = _quoted(detail["input"])
    if kind == "extra_forbidden":
        return _explain_unknown_key(str(path[-1]), siblings)
    if kind == "missing":
        return "is missing; add it"
    if kind == "union_tag_not_found":
        return "lacks the key 'kind', which says what it is"
    if kind == "union_tag_invalid":
        return f"is of kind '{context['tag']}'; use one of {context['expected_tags']}"
    if kind == "value_error":
        is_group = isinstance(detail["input"], dict | list)
        return f"{context['error']}" if is_group else f"{given} {context['error']}"
    expected = _EXPECTED.get(kind) or _SUBJECT.sub("must ", detail["msg"])
    return f"is {given}; it {expected}"


def _explain_unknown_key(key: str, siblings: list[str]) -> str:
    close = difflib.get_close_matches(key, siblings, n=1, cutoff=0.6)
    if close:
        return f"is not a known key; did you mean '{close[0]}'?"
    return f"is not a known key; known here: {', '.join(siblings)}"


def _quoted(given: object) -> str:
    if isinstance(given, dict):
        return "a group of keys"
    if isinstance(given, bool):
        return str(given).lower()
    text = f"'{given}'" if isinstance(given, str) else str(given)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _locate(
    loc: tuple[int | str, ...], document: StrictDocument, model: type[BaseModel]
) -> tuple[KeyPath, list[str]]:
    """Return the path as written in the file, and the keys known beside its last.

    Pydantic's location holds the tag of a discriminated union, and `[key]` for the
    name of an entry; the file has neither as a key.
    """
    path: KeyPath = ()
    candidates = [model]
    siblings: list[str] = []
    for part in loc:
        tagged = [one for one in candidates if _kind(one) == part]
        if part == "[key]":
            continue
        if tagged and (*path, "kind") in document.lines:
            candidates = tagged
            continue
        path = (*path, part)
        siblings = []
        if len(candidates) == 1:
            fields = candidates[0].model_fields
            siblings = list(fields)
            candidates = _models(fields[part].annotation) if part in fields else []
    return path, siblings


def _kind(model: type[BaseModel]) -> object:
    field = model.model_fields.get("kind")
    return field.default if field else None


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Return every model named anywhere in an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]
