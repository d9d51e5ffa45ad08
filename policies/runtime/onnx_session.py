"""The one place that imports onnxruntime.

A session runs on one thread without spinning: a second thread triples the tail when
the core is taken, and spinning steals it from the servo process.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from cell.contracts.errors import ModelError, PolicyError
from policies.manifest import ModelManifest, TensorSpec
from policies.model_directory import VerifiedModel

_DTYPE_OF_ORT = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
}


class _GraphTensor(Protocol):
    """The part of onnxruntime's NodeArg that is compared with the manifest."""

    name: str
    shape: list[int | str | None]
    type: str


class OnnxSession:
    """A loaded network whose tensors are exactly those of its manifest.

    Implements `cell.contracts.runtime.TensorSession`.
    """

    def __init__(self, model: VerifiedModel[ModelManifest]) -> None:
        """Load and warm up.

        Raises:
            ModelError: the file is no usable network, or its tensors differ from the
                manifest.
        """
        self._inputs = model.manifest.inputs
        self._output_names = [spec.name for spec in model.manifest.outputs]
        where = str(model.directory / model.manifest.model_file)
        self._session = _open_ort(model.model_bytes, where)
        _compare(where, "input", self._session.get_inputs(), model.manifest.inputs)
        _compare(where, "output", self._session.get_outputs(), model.manifest.outputs)
        self._warm_up(where)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run once; names, shapes and types are those of the manifest.

        Raises:
            PolicyError: an input is missing or has the wrong shape or type, or the
                network failed.
        """
        for spec in self._inputs:
            value = inputs.get(spec.name)
            if value is None or value.shape != spec.shape or value.dtype != spec.dtype:
                got = "nothing" if value is None else f"{value.dtype}{value.shape}"
                raise PolicyError(
                    f"input {spec.name} must be {spec.dtype}{spec.shape}, got {got}"
                )
        try:
            values = self._session.run(self._output_names, dict(inputs))
        except Exception as error:
            raise PolicyError(f"the network failed: {_first_line(error)}") from error
        return dict(
            zip(self._output_names, cast("list[NDArray[Any]]", values), strict=True)
        )

    def _warm_up(self, where: str) -> None:
        zeros = {
            spec.name: np.zeros(spec.shape, np.dtype(spec.dtype))
            for spec in self._inputs
        }
        try:
            for _ in range(2):
                self.run(zeros)
        except PolicyError as error:
            raise ModelError(f"{where}: cannot run: {error}") from error


def _open_ort(model_bytes: bytes, where: str) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # Weights in a file of their own would come from the folder the process happens to
    # run in, and no digest covers them: there is no such folder for us.
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", os.devnull
    )
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(
            model_bytes, options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise ModelError(
            f"{where}: onnxruntime cannot load it ({_first_line(error)}); "
            "export the model again"
        ) from error


def _compare(
    where: str,
    role: str,
    found: Sequence[_GraphTensor],
    expected: Sequence[TensorSpec],
) -> None:
    by_name = {tensor.name: tensor for tensor in found}
    names = [spec.name for spec in expected]
    if sorted(by_name) != sorted(names):
        raise ModelError(
            f"{where}: the network's {role}s are {sorted(by_name)}, "
            f"the manifest says {sorted(names)}; export the model again"
        )
    for spec in expected:
        tensor = by_name[spec.name]
        dtype = _DTYPE_OF_ORT.get(tensor.type, tensor.type)
        if tuple(tensor.shape) != spec.shape or dtype != spec.dtype:
            raise ModelError(
                f"{where}: {role} {spec.name} is {dtype}{tuple(tensor.shape)}, the "
                f"manifest says {spec.dtype}{spec.shape}; export the model again"
            )


def _first_line(error: Exception) -> str:
    return (
        str(error).strip().splitlines()[0][:200] if str(error).strip() else repr(error)
    )
