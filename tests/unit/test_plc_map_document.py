"""The register map written out, and the handbook page that shows it."""

import csv
import io
import json
from pathlib import Path

import pytest

from cell.drivers.plc.map_document import render_map
from cell.drivers.plc.registers import REGISTERS

HANDBOOK = Path(__file__).parents[2] / "ops" / "handbook" / "plc.md"
COUNT = sum(len(block) for block in REGISTERS.values())


def test_csv_has_one_row_for_each_register() -> None:
    rows = list(csv.DictReader(io.StringIO(render_map("csv"))))

    assert len(rows) == COUNT
    assert rows[0]["name"] == "magic_head"
    assert rows[0]["register"] == "40001"


def test_json_carries_numbers_as_numbers() -> None:
    document = json.loads(render_map("json"))

    assert len(document["registers"]) == COUNT
    assert document["registers"][0]["constant"] == 0x01020304
    assert document["blocks"][1] == {"name": "cell_to_plc", "address": 32, "words": 32}


def test_the_table_is_aligned() -> None:
    lines = render_map("table").splitlines()

    assert len(lines) == COUNT + 1
    column = lines[0].index("description")
    assert all(line[column - 2 : column] == "  " for line in lines)


def test_an_unknown_form_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="table, markdown, csv, json"):
        render_map("xml")


def test_the_handbook_shows_the_map_as_it_is() -> None:
    assert render_map("markdown") in HANDBOOK.read_text(encoding="utf-8")
