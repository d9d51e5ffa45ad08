"""The worker before a bin unlike any in training: no answer, and a record of why."""

import json
from pathlib import Path

import numpy as np
from structlog.testing import capture_logs

from cell.contracts.observation import Abstain, ActionChunk, RgbdFrame
from policies.config import PolicyConfig
from policies.manifest import SceneNovelty
from policies.runtime.loading import load_policies
from policies.runtime.scene_novelty import FEATURES, compute_features
from policies.runtime.scene_view import BinViewer, SceneView
from policies.runtime.wire import SOCKET_NAME
from policies.runtime.worker import PolicyWorker, make_observation
from tests.fakes.grasp_models import make_frame, make_workspace, write_model
from tests.integration.test_blind_policy_worker import Frames
from tests.integration.test_policy_worker import connected, serving

USUAL = make_frame([(0.03, 0.0, 0.05, 0.05, 0.05)])
STRANGE = make_frame([(-0.08, 0.05, 0.05, 0.05, 0.05)])


def describe(frame: RgbdFrame) -> SceneNovelty:
    """Return statistics by which this very picture is the mean of all."""
    view = BinViewer(make_workspace(), "overhead").look(make_observation(frame), "")
    assert isinstance(view, SceneView)
    return SceneNovelty(
        features=FEATURES,
        mean=tuple(compute_features(view.heights_m)),
        whitening=tuple(tuple(row) for row in (1e3 * np.eye(len(FEATURES))).tolist()),
        quantile=0.999,
        threshold=2.0,
        fitted=100,
        held_out=100,
    )


async def test_a_novel_picture_is_recorded_and_the_fallback_answers_it(
    tmp_path: Path,
) -> None:
    novelty = json.loads(describe(USUAL).model_dump_json())
    write_model(tmp_path / "tiny", novelty=novelty)
    config = PolicyConfig(live="tiny", minimum_score=0.1)
    policies = load_policies(config, tmp_path, make_workspace())
    frames = Frames([USUAL, STRANGE])
    worker = PolicyWorker(policies, frames, tmp_path / SOCKET_NAME, 0.5)
    with capture_logs() as lines, serving(worker):
        async with connected(tmp_path) as client:
            answers = [
                (await client.propose(fallback=fallback, min_frame_stamp_ns=0)).answer
                for fallback in (False, False, True)
            ]

    usual, strange, fallback = answers
    assert isinstance(usual, ActionChunk)
    assert isinstance(strange, Abstain)
    assert (strange.is_blind, strange.is_bin_empty) == (False, False)
    assert strange.novelty > strange.novelty_limit == 2.0
    assert isinstance(fallback, ActionChunk)
    assert fallback.model == policies.fallback.name
    (line,) = [line for line in lines if line["event"] == "novel picture"]
    assert line["score"] > line["threshold"] == 2.0
    assert line["model"] == policies.live.name
