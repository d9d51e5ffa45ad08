"""Names and types of RTDE inputs and outputs, as PolyScope 5.12 knows them.

Outputs are limited to names that `ur_rtde` can decode: it ignores the types in the
reply, and one name it does not know shifts all values behind it.
"""

import struct

_CODES = {
    "DOUBLE": "d",
    "UINT8": "B",
    "BOOL": "?",
    "INT32": "i",
    "UINT32": "I",
    "UINT64": "Q",
    "VECTOR3D": "3d",
    "VECTOR6D": "6d",
    "VECTOR6INT32": "6i",
    "VECTOR6UINT32": "6I",
}

REGISTERS = 48
"""Integer and double registers in each direction; 24 and above are the upper range."""

_DOUBLES = (
    "timestamp actual_execution_time speed_scaling target_speed_fraction "
    "actual_momentum actual_main_voltage actual_robot_voltage actual_robot_current "
    "standard_analog_input0 standard_analog_input1 standard_analog_output0 "
    "standard_analog_output1 payload"
)
_VECTORS = (
    "target_q target_qd target_qdd target_current target_moment actual_q actual_qd "
    "actual_current joint_control_output actual_TCP_pose actual_TCP_speed "
    "actual_TCP_force target_TCP_pose target_TCP_speed joint_temperatures "
    "actual_joint_voltage ft_raw_wrench payload_inertia"
)
_UINTS = (
    "runtime_state robot_status_bits safety_status_bits output_bit_registers0_to_31 "
    "output_bit_registers32_to_63"
)

OUTPUT_TYPES: dict[str, str] = {
    **dict.fromkeys(_DOUBLES.split(), "DOUBLE"),
    **dict.fromkeys(_VECTORS.split(), "VECTOR6D"),
    **dict.fromkeys(_UINTS.split(), "UINT32"),
    "actual_tool_accelerometer": "VECTOR3D",
    "payload_cog": "VECTOR3D",
    "actual_digital_input_bits": "UINT64",
    "actual_digital_output_bits": "UINT64",
    "robot_mode": "INT32",
    "safety_mode": "INT32",
    "joint_mode": "VECTOR6INT32",
    **{f"output_int_register_{n}": "INT32" for n in range(REGISTERS)},
    **{f"output_double_register_{n}": "DOUBLE" for n in range(REGISTERS)},
}

INPUT_TYPES: dict[str, str] = {
    "speed_slider_mask": "UINT32",
    "speed_slider_fraction": "DOUBLE",
    "standard_digital_output_mask": "UINT8",
    "standard_digital_output": "UINT8",
    "configurable_digital_output_mask": "UINT8",
    "configurable_digital_output": "UINT8",
    "tool_digital_output_mask": "UINT8",
    "tool_digital_output": "UINT8",
    "standard_analog_output_mask": "UINT8",
    "standard_analog_output_type": "UINT8",
    "standard_analog_output_0": "DOUBLE",
    "standard_analog_output_1": "DOUBLE",
    "input_bit_registers0_to_31": "UINT32",
    "input_bit_registers32_to_63": "UINT32",
    "external_force_torque": "VECTOR6D",
    **{f"input_int_register_{n}": "INT32" for n in range(REGISTERS)},
    **{f"input_double_register_{n}": "DOUBLE" for n in range(REGISTERS)},
}


def make_struct(type_name: str) -> struct.Struct:
    """Return the big-endian layout of one value."""
    return struct.Struct(">" + _CODES[type_name])
