"""Rows about model files that are damaged on disk, tried on the real loaders."""

from typing import Final

from ops.settings import Settings
from policies.manifest import MANIFEST_NAME
from sim2real.faults.guard_checks import Check
from sim2real.faults.judgement import Judgement
from sim2real.faults.load_checks import (
    copied_model,
    judge_loadings,
    load_spoilt,
)

_SHARES: Final = (0.1, 0.5, 0.9)
"""Where in a file the damage is, as a part of its length."""


def damaged_files(settings: Settings, with_fault: bool) -> Judgement:  # noqa: FBT001
    """F50: one bit of the weights; and each file of the model cut short."""
    loadings = []
    for share in _SHARES if with_fault else _SHARES[:1]:
        with copied_model(settings) as directory:
            path = next(p for p in directory.iterdir() if p.name != MANIFEST_NAME)
            content = bytearray(path.read_bytes())
            content[int(share * len(content))] ^= 1 if with_fault else 0
            path.write_bytes(content)
            loadings.append(load_spoilt(settings, directory))
        with copied_model(settings) as directory:
            for path in directory.iterdir():
                content = bytearray(path.read_bytes())
                left = int(share * len(content)) if with_fault else len(content)
                path.write_bytes(content[:left])
                loadings.append(load_spoilt(settings, directory))
                path.write_bytes(content)
    return judge_loadings("refused by digest, the fallback picks", loadings)


MODEL_CHECKS: Final[dict[str, Check]] = {"F50": damaged_files}
"""By row."""
