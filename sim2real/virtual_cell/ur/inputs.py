"""What clients have written: registers, digital and analog outputs, speed slider."""

import math
from collections.abc import Callable, Sequence

from sim2real.virtual_cell.ur.rtde_fields import INPUT_TYPES, REGISTERS

_INT_NAMES = tuple(f"input_int_register_{n}" for n in range(REGISTERS))
_DOUBLE_NAMES = tuple(f"input_double_register_{n}" for n in range(REGISTERS))
_CONFIGURABLE_SHIFT, _TOOL_SHIFT = 8, 16


class InputBank:
    """Newest value of every input, by name, and the outputs of the cabinet."""

    def __init__(self) -> None:
        self._values: dict[str, float] = dict.fromkeys(INPUT_TYPES, 0)
        self.digital_output_bits = 0
        self.analog_outputs = [0.0, 0.0]  # [V] or [A], as the channel is set
        self.speed_fraction = 1.0
        self.written_ns: dict[str, int] = {}
        self._actions: dict[str, Callable[[], None]] = {
            "speed_slider_mask": self._apply_slider,
            "standard_digital_output_mask": self._apply_standard,
            "configurable_digital_output_mask": self._apply_configurable,
            "tool_digital_output_mask": self._apply_tool,
            "standard_analog_output_mask": self._apply_analog,
        }

    def apply(self, names: Sequence[str], values: Sequence[float], now_ns: int) -> None:
        """Take over the values of one package; masks act when it is complete."""
        self._values.update(zip(names, values, strict=True))
        for name in names:
            action = self._actions.get(name)
            if action is not None:
                action()
        # The first field is the command register of the control script, whose arrival
        # feeds its watchdog.
        self.written_ns[names[0]] = now_ns

    def read_int(self, index: int) -> int:
        """Return an input integer register."""
        return int(self._values[_INT_NAMES[index]])

    def read_doubles(self, index: int, count: int) -> tuple[float, ...]:
        """Return adjacent input double registers."""
        values = self._values
        return tuple([values[name] for name in _DOUBLE_NAMES[index : index + count]])

    def read_written_ns(self, index: int) -> int:
        """Return when an integer register was last written [ns], 0 for never."""
        return self.written_ns.get(_INT_NAMES[index], 0)

    def set_int(self, index: int, value: int) -> None:
        """Overwrite an input integer register."""
        self._values[_INT_NAMES[index]] = value

    def _apply_slider(self) -> None:
        fraction = self._values["speed_slider_fraction"]
        if self._values["speed_slider_mask"] and math.isfinite(fraction):
            self.speed_fraction = min(1.0, max(0.0, fraction))

    def _apply_standard(self) -> None:
        self._set_bits("standard_digital_output", 0)

    def _apply_configurable(self) -> None:
        self._set_bits("configurable_digital_output", _CONFIGURABLE_SHIFT)

    def _apply_tool(self) -> None:
        self._set_bits("tool_digital_output", _TOOL_SHIFT)

    def _set_bits(self, name: str, shift: int) -> None:
        mask = int(self._values[f"{name}_mask"]) << shift
        level = int(self._values[name]) << shift
        self.digital_output_bits = self.digital_output_bits & ~mask | level & mask

    def _apply_analog(self) -> None:
        mask = int(self._values["standard_analog_output_mask"])
        is_voltage = int(self._values["standard_analog_output_type"])
        for channel in range(2):
            if not mask >> channel & 1:
                continue  # the client leaves the other value uninitialised
            ratio = self._values[f"standard_analog_output_{channel}"]
            if is_voltage >> channel & 1:
                self.analog_outputs[channel] = 10.0 * ratio
            else:
                self.analog_outputs[channel] = 0.004 + 0.016 * ratio
