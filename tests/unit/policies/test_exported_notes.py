"""An export keeps what computes, and nothing of the machine that it was made on."""

import numpy as np
import onnx
import onnxruntime
import torch

from policies.training.export import convert_to_onnx


def test_an_export_holds_no_path_and_no_note_of_its_exporter() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU()).eval()
    example = torch.zeros(1, 3)

    content = convert_to_onnx(network, example, ["x"], ["y"])

    assert __file__.encode() not in content
    assert b"stack_trace" not in content
    assert b"site-packages" not in content
    graph = onnx.load_from_string(content).graph
    assert not [node for node in graph.node if node.metadata_props or node.doc_string]
    x = np.array([[0.5, -1.0, 2.0]], np.float32)
    (answer,) = onnxruntime.InferenceSession(content).run(["y"], {"x": x})
    assert np.allclose(answer, network(torch.from_numpy(x)).detach().numpy())
