"""Export of the projection layers to ONNX, alone or inside of a policy.

The graph computes the whole answer: whoever runs it gets the joint positions, whether
they are granted, and the losses, and has no need of torch. It holds the limits as
constants; a policy is exported anew for other limits.
"""

import logging
import warnings

import torch
from torch import Tensor, nn

from policies.training.export import OPSET, read_program
from policies.training.projection import (
    IncrementAnswer,
    IncrementProjection,
    PoseAnswer,
    PoseProjection,
)

INCREMENT_INPUTS = ("q", "qd", "qdd", "action")
# An output may not have the name of an input.
INCREMENT_OUTPUTS = ("q_request", *IncrementAnswer._fields[1:])
POSE_INPUTS = ("q", "base_from_tcp")
POSE_OUTPUTS = ("q_request", *PoseAnswer._fields[1:])


def export_increments(layer: IncrementProjection) -> bytes:
    """Return the layer as an ONNX model for any batch size, in its own precision."""
    # Four tensors: one that is given four times would be taken for one input.
    example = tuple(torch.zeros(2, 6, dtype=layer.speed.dtype) for _ in range(4))
    return export_module(layer, example, INCREMENT_INPUTS, INCREMENT_OUTPUTS)


def export_poses(layer: PoseProjection) -> bytes:
    """Return the layer as an ONNX model for any batch size, in its own precision."""
    joints = torch.zeros(2, 6, dtype=layer.joint_min_rad.dtype)
    pose = torch.eye(3, 4, dtype=joints.dtype).expand(2, 3, 4).contiguous()
    return export_module(layer, (joints, pose), POSE_INPUTS, POSE_OUTPUTS)


def export_module(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    input_names: tuple[str, ...],
    output_names: tuple[str, ...],
) -> bytes:
    """Return a module, which may hold a projection, as an ONNX model.

    Args:
        module: takes and gives tensors whose first axis is the batch; put into
            evaluation mode.
        inputs: an example, with a batch of at least two, no tensor of it twice.
        input_names: one for each input.
        output_names: one for each output.

    Raises:
        ModelError: torch exported nothing.
    """
    # It also tells everybody that torchvision, which nothing here uses, is absent.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    batch = torch.export.Dim("batch")
    with warnings.catch_warnings():
        # torch's exporter calls functions of its own that it has deprecated.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        # All inputs share one batch, which is what is wanted.
        warnings.filterwarnings("ignore", "# The axis name", UserWarning)
        program = torch.onnx.export(
            module.eval(),
            inputs,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(input_names),
            output_names=list(output_names),
            dynamic_shapes=tuple({0: batch} for _ in inputs),
            verbose=False,
        )
    return read_program(program)
