"""A line PLC that is given more time than any configuration may give it."""

from typing import Literal

from cell.config import ModbusPlcConfig


def make_patient_config(
    port: int,
    timeout_s: float = 0.9,
    device_id: int = 1,
    word_order: Literal["big", "little"] = "big",
) -> ModbusPlcConfig:
    """Return the section of a line PLC on this machine whose deadlines are not tested.

    A loaded machine may take its time. What is updated in a copy is not checked.
    """
    config = ModbusPlcConfig(
        host="127.0.0.1", port=port, device_id=device_id, word_order=word_order
    )
    patience = {"timeout_s": timeout_s, "heartbeat_timeout_s": 1.0}
    return config.model_copy(update=patience)
