"""Rows about model files that are damaged on disk, tried on the real loaders."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cell.contracts.errors import ModelError
from cell.contracts.units import ns_from_s
from cell.supervisor.causes import Cause
from ops.guardian_loading import load_watch
from ops.guardian_watch import read_manifest
from ops.settings import Settings, compute_model_root
from ops.workspace import make_workspace
from policies.config import PolicyConfig
from policies.manifest import MANIFEST_NAME
from policies.runtime.loading import load_policies, make_stand_in
from policies.runtime.model_watch import ModelWatch
from sim2real.faults.guard_checks import Check
from sim2real.faults.judgement import Judgement
from sim2real.faults.load_checks import (
    LIVE_MODEL,
    Loading,
    copied_model,
    judge_loadings,
    load_spoilt,
)
from sim2real.faults.table_rungs import read_complaint_rung, read_rung

_SHARES: Final = (0.1, 0.5, 0.9)
"""Where in a file the damage is, as a part of its length."""
_HOUR_S: Final = 3600.0
_TURNS: Final = 5000
"""More than a look takes, whatever the size of a model."""


def damaged_files(settings: Settings, with_fault: bool) -> Judgement:  # noqa: FBT001
    """F50: one bit of the weights, at rest and while they run; each file cut short."""
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
    loadings.append(_damage_while_running(settings, with_fault=with_fault))
    loadings += _cut_guardian(settings, with_fault=with_fault)
    return judge_loadings("refused by digest, the fallback picks", loadings)


def _damage_while_running(settings: Settings, *, with_fault: bool) -> Loading:
    """Flip a bit on disk under the model that runs; it has to show within the hour."""
    config = PolicyConfig(live=LIVE_MODEL)
    period_ns = ns_from_s(settings.policy.recheck_s)
    with copied_model(settings) as directory:
        loaded = load_policies(config, directory.parent, make_workspace(settings))
        watch = ModelWatch(loaded.digests, period_ns)
        watch.turn(0)
        path = next(p for p in directory.iterdir() if p.name != MANIFEST_NAME)
        content = bytearray(path.read_bytes())
        content[-1] ^= 1 if with_fault else 0
        path.write_bytes(content)
        now_ns = min(period_ns, ns_from_s(_HOUR_S))
        found = [watch.turn(now_ns) for _ in range(_TURNS)]
    error = next((each for each in found if each is not None), None)
    if error is None:
        return Loading("the damage did not show within the hour", None)
    stand_in = make_stand_in(error, LIVE_MODEL, loaded.fallback)
    is_fallback = stand_in.live is stand_in.fallback
    return Loading(
        "" if is_fallback else "the fallback does not stand in",
        read_complaint_rung(stand_in.complaint),
    )


def _cut_guardian(settings: Settings, *, with_fault: bool) -> Iterator[Loading]:
    """Cut manifest and network of the Guardian short; its loader has to refuse both."""
    source = compute_model_root(settings) / settings.guardian.model
    for name in (MANIFEST_NAME, read_manifest(settings).model_file):
        with tempfile.TemporaryDirectory(prefix="cellward-models-") as root:
            copy = Path(root) / settings.guardian.model
            shutil.copytree(source, copy)
            content = (copy / name).read_bytes()
            left = len(content) // 2 if with_fault else len(content)
            (copy / name).write_bytes(content[:left])
            policy = settings.policy.model_copy(update={"directory": root})
            try:
                load_watch(settings.model_copy(update={"policy": policy}))
            except ModelError:
                rung = read_rung(Cause.GUARDIAN_INVALID)
                yield Loading("", rung)
            else:
                yield Loading(f"the Guardian's {name} was taken", None)


MODEL_CHECKS: Final[dict[str, Check]] = {"F50": damaged_files}
"""By row."""
