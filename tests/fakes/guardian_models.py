"""A Guardian network written by hand, and a calibration that fits it.

It believes in whatever slips little: next success is the sigmoid of 3 minus a thousand
times the slip during the lift.
"""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cell.contracts.attempt import AttemptFeatures
from policies.guardian_manifest import (
    HEADS,
    Calibration,
    EvidenceSpec,
    GuardianManifest,
    ReliabilityBin,
)
from policies.manifest import TensorSpec
from policies.runtime.guardian_tensors import (
    FEATURES,
    INPUT_NAME,
    OUTPUT_NAMES,
    OUTPUT_SIZES,
)

CALIBRATION = Calibration(
    good_ratio=0.95,
    attempts=100,
    charts=(
        EvidenceSpec(
            bad_ratio=0.80,
            edges=(0.2,),
            placed_nat=(-0.3, 0.5),
            failed_nat=(0.8, 1.6),
            threshold_nat=5.0,
            mean_run_length=20_000.0,
        ),
    ),
    novelty_max=9.0,
    reliability=dict.fromkeys(HEADS, (ReliabilityBin(said=0.9, seen=0.9, count=100),)),
)


def make_features(attempt: int = 1, **changes: float) -> AttemptFeatures:
    values = dict.fromkeys(FEATURES, 0.0) | {"score": 0.9, "grip_m": 0.03}
    return AttemptFeatures(attempt=attempt, stamp_ns=1, **(values | changes))


def make_model_bytes(columns: int = len(FEATURES)) -> bytes:
    weights = np.zeros((columns, 1), np.float32)
    weights[FEATURES.index("lift_slip_m")] = -1000.0
    nodes = [
        helper.make_node("MatMul", [INPUT_NAME, "weights"], ["slip"]),
        helper.make_node("Add", ["slip", "three"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["next_success"]),
        helper.make_node("Identity", ["next_success"], ["success"]),
        helper.make_node("Sub", ["one", "next_success"], ["silent_failure"]),
        helper.make_node("Abs", ["slip"], ["novelty"]),
        helper.make_node("Mul", ["silent_failure", "kinds"], ["troubles"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny-guardian",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, [1, columns])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])
            for name, size in zip(OUTPUT_NAMES, OUTPUT_SIZES, strict=True)
        ],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.full((1, 1), 3.0, np.float32), "three"),
            numpy_helper.from_array(np.full((1, 1), 1.0, np.float32), "one"),
            numpy_helper.from_array(
                np.full((1, OUTPUT_SIZES[-1]), 0.5, np.float32), "kinds"
            ),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def make_manifest(content: bytes) -> GuardianManifest:
    def spec(name: str, columns: int) -> TensorSpec:
        return TensorSpec(
            name=name,
            shape=(1, columns),
            dtype="float32",
            unit="1",
            frame="one attempt",
            normalisation="none",
        )

    return GuardianManifest(
        name="tiny",
        version="1",
        family="guardian",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        model_file="model.onnx",
        model_sha256=hashlib.sha256(content).hexdigest(),
        inputs=(spec(INPUT_NAME, len(FEATURES)),),
        outputs=tuple(map(spec, OUTPUT_NAMES, OUTPUT_SIZES)),
        seed=0,
        data_sha256="0" * 64,
        features=FEATURES,
        calibration=CALIBRATION,
        evaluation_sha256="0" * 64,
    )


def write_guardian(
    directory: Path, content: bytes | None = None, **changes: Any
) -> Path:
    """Write a model directory; `changes` replace keys, None takes them away."""
    directory.mkdir(parents=True, exist_ok=True)
    content = make_model_bytes() if content is None else content
    tree = json.loads(make_manifest(content).model_dump_json()) | changes
    tree = {key: value for key, value in tree.items() if value is not None}
    (directory / "model.onnx").write_bytes(content)
    (directory / "manifest.json").write_text(json.dumps(tree))
    return directory
