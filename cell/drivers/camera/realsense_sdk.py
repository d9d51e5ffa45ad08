"""The only place that loads `pyrealsense2`.

Its native library wants libusb's symbols in the process, which a distribution package
would provide. The `libusb-package` wheel carries the same library, so no system
package is needed when it is loaded first.
"""

import ctypes
import functools
from typing import Any

import libusb_package

from cell.contracts.errors import DriverUnreachableError


@functools.cache
def load_sdk() -> Any:
    """Return the `pyrealsense2` module.

    Raises:
        DriverUnreachableError: it does not load on this machine.
    """
    try:
        path = libusb_package.get_library_path()
        if path is not None:
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        import pyrealsense2
    except (ImportError, OSError) as error:
        raise DriverUnreachableError(
            "camera SDK",
            f"pyrealsense2 does not load ({error}): reinstall the "
            "locked dependencies, or libusb-1.0-0 from the distribution",
        ) from error
    # Its console log repeats itself for every lost frame; we report changes instead.
    pyrealsense2.log_to_console(pyrealsense2.log_severity.fatal)
    return pyrealsense2
