"""Drives the gripper through the vendor client's own C++ class, and says what it saw.

`python -m tests.fakes.robotiq_class HOST` prints one JSON object as its last line. The
wheel of `ur_rtde` has the class in its library, yet no Python module for it, so its
methods are called by their symbols. A process of its own: an exception of the class has
nobody to catch it here and ends the process.
"""

import ctypes
import json
import os
import struct
import sys
from pathlib import Path
from typing import Any

import rtde_control

LIBRARY = Path(rtde_control.__file__).with_name("librtde.so")
_PORT = 63352
_CONNECT_MS = 2000
_WAIT_FINISHED = 1
_SLOW, _FAST, _GENTLE = 0.2, 1.0, 0.1  # of the whole range
# Larger than any object of the class could be.
_OBJECT_BYTES = 65_536
# A `std::string` of the library's old binary interface is a pointer to a text behind a
# header: length, capacity, further owners. With so many owners nobody frees it.
_TEXT_HEADER = struct.Struct("@NNi4x")
_OWNERS = 1_000_000

_NUMBER, _FLAG, _REAL = ctypes.c_int, ctypes.c_bool, ctypes.c_float


class VendorGripper:
    """Methods of `ur_rtde::RobotiqGripper`, by their symbols."""

    def __init__(self, host: str) -> None:
        self._library: Any = ctypes.CDLL(str(LIBRARY))
        self._object = ctypes.create_string_buffer(_OBJECT_BYTES)
        text = host.encode()
        header = _TEXT_HEADER.pack(len(text), len(text), _OWNERS)
        self._text = ctypes.create_string_buffer(header + text)
        start = ctypes.addressof(self._text) + _TEXT_HEADER.size
        self._host = ctypes.c_void_p(start)
        self.call("C1ERKSsib", ctypes.byref(self._host), _NUMBER(_PORT), _FLAG(False))

    def call(self, symbol: str, *arguments: Any, gives: Any = None) -> Any:
        """Call a method by the end of its symbol."""
        method = self._library[f"_ZN7ur_rtde14RobotiqGripper{symbol}"]
        method.restype = gives
        return method(self._object, *arguments)

    def is_active(self) -> bool:
        return bool(self.call("8isActiveEv", gives=_FLAG))

    def read_device_position(self) -> int:
        return int(self.call("24getCurrentDevicePositionEv", gives=_NUMBER))

    def read_object_status(self) -> int:
        return int(self.call("21objectDetectionStatusEv", gives=_NUMBER))

    def move_and_wait(self, position: float) -> int:
        """Move to 0 closed .. 1 open and return the object status at the end."""
        numbers = _REAL(position), _REAL(_FAST), _REAL(_GENTLE)
        symbol = "4moveEfffNS0_9eMoveModeE"
        return int(self.call(symbol, *numbers, _NUMBER(_WAIT_FINISHED), gives=_NUMBER))

    def close_and_wait(self, speed: float) -> int:
        numbers = _REAL(speed), _REAL(_GENTLE), _NUMBER(_WAIT_FINISHED)
        return int(self.call("5closeEffNS0_9eMoveModeE", *numbers, gives=_NUMBER))

    def open_and_wait(self) -> int:
        numbers = _REAL(_FAST), _REAL(_GENTLE), _NUMBER(_WAIT_FINISHED)
        return int(self.call("4openEffNS0_9eMoveModeE", *numbers, gives=_NUMBER))

    def calibrate(self) -> tuple[int, int]:
        """Find the range by closing and opening; return it."""
        self.call("13autoCalibrateEf", _REAL(_FAST))
        low, high = _NUMBER(), _NUMBER()
        self.call("22getNativePositionRangeERiS1_", *map(ctypes.byref, (low, high)))
        return low.value, high.value


def main(host: str) -> None:
    """Use everything once and print what it came to."""
    gripper = VendorGripper(host)
    gripper.call("7connectEj", ctypes.c_uint(_CONNECT_MS))
    seen: dict[str, Any] = {"active_at_first": gripper.is_active()}
    gripper.call("5resetEv")
    seen["active_after_reset"] = gripper.is_active()
    gripper.call("8activateEb", _FLAG(False))
    seen["active"] = gripper.is_active()
    seen["half"] = gripper.move_and_wait(0.5), gripper.read_device_position()
    seen["closed"] = gripper.close_and_wait(_SLOW), gripper.read_device_position()
    seen["object"] = gripper.read_object_status()
    seen["open"] = gripper.open_and_wait(), gripper.read_device_position()
    seen["range"] = gripper.calibrate()
    seen["fault"] = int(gripper.call("11faultStatusEv", gives=_NUMBER))
    print("\nMany values in one request:", flush=True)
    gripper.call("8dumpVarsEv")
    gripper.call("10disconnectEv")
    print(json.dumps(seen), flush=True)
    # Its destructor has no symbol, and needs none.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
