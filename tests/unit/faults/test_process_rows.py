"""Parts of the rows about processes that need no cell."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ops.settings import load_settings
from sim2real.faults.evidence import Evidence
from sim2real.faults.restart_scenario import find_wrong_limit


@pytest.mark.parametrize(
    ("limit", "said"), [(5, ""), (3, ""), (6, "permits 6 restarts")]
)
def test_the_limit_of_restarts_is_that_of_the_fault_list_or_less(
    repository: Path, limit: int, said: str
) -> None:
    settings: Any = load_settings(repository / "config.yaml")
    runtime = settings.runtime.model_copy(update={"restart_limit": limit})
    files = SimpleNamespace(settings=settings.model_copy(update={"runtime": runtime}))
    evidence = SimpleNamespace(stand=SimpleNamespace(files=files))

    missed = find_wrong_limit(cast("Evidence", evidence))

    assert (said in missed) if said else missed == ""
