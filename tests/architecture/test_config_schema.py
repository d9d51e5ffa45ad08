"""The checked-in JSON schema is the one that the code means."""

from pathlib import Path

import pytest

from ops.settings import settings_schema


def test_the_schema_is_up_to_date(repository: Path) -> None:
    path = repository / "config.schema.json"

    if path.read_text() != settings_schema():
        pytest.fail(
            "config.schema.json is out of date; write it anew with: python -c"
            " 'from ops.settings import settings_schema; print(settings_schema(),"
            ' end="")\' > config.schema.json'
        )
