"""The register map written out for people and for PLC programming tools. Pure."""

import csv
import io
import json
from collections.abc import Callable, Sequence

from cell.drivers.plc.registers import BLOCK_START, BLOCK_WORDS, REGISTERS, Register

_COLUMNS = (
    "address",
    "register",
    "bit",
    "name",
    "type",
    "scale",
    "unit",
    "block",
    "description",
)
_Row = tuple[str, ...]


def render_map(form: str) -> str:
    """Return the whole map as `table`, `markdown`, `csv` or `json`.

    Raises:
        ValueError: no such form.
    """
    if form not in _RENDERERS:
        raise ValueError(f"no form {form!r}; known are {', '.join(_RENDERERS)}")
    return _RENDERERS[form]()


def make_rows() -> list[_Row]:
    """Return one row of texts for each register, in the order of addresses."""
    return [_row(entry) for block in REGISTERS.values() for entry in block]


def _row(entry: Register) -> _Row:
    return (
        str(entry.address),
        str(entry.manual_number),
        "" if entry.bit is None else str(entry.bit),
        entry.name,
        str(entry.type),
        "" if entry.scale == 1.0 else f"{entry.scale:g}",
        entry.unit,
        str(entry.block),
        entry.description,
    )


def _render_table() -> str:
    rows = [_COLUMNS, *make_rows()]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS) - 1)]
    return "".join(_line(row, widths) for row in rows)


def _line(row: _Row, widths: Sequence[int]) -> str:
    cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)]
    return "  ".join([*cells, row[-1]]) + "\n"


def _render_markdown() -> str:
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
    lines += ["| " + " | ".join(row) + " |" for row in make_rows()]
    return "\n".join(lines) + "\n"


def _render_csv() -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(make_rows())
    return text.getvalue()


def _render_json() -> str:
    document = {
        "blocks": [
            {"name": str(block), "address": start, "words": BLOCK_WORDS}
            for block, start in BLOCK_START.items()
        ],
        "registers": [
            dict(zip(_COLUMNS, row, strict=True))
            | {"address": entry.address, "register": entry.manual_number}
            | {"bit": entry.bit, "scale": entry.scale, "constant": entry.constant}
            for block in REGISTERS.values()
            for entry, row in ((entry, _row(entry)) for entry in block)
        ],
    }
    return json.dumps(document, indent=2) + "\n"


_RENDERERS: dict[str, Callable[[], str]] = {
    "table": _render_table,
    "markdown": _render_markdown,
    "csv": _render_csv,
    "json": _render_json,
}
