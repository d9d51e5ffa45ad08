"""Exit codes of the command line; documented in the handbook, stable once released."""

from enum import IntEnum

from cell.contracts.errors import (
    CellError,
    ConfigError,
    FaultCode,
    ModelError,
    StorageError,
)


class ExitCode(IntEnum):
    """One number for each kind of cause."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    CONFIG = 3
    NOT_READY = 4
    ALREADY_RUNNING = 5
    MODEL = 6
    RESTART_LIMIT = 7
    STORAGE = 8
    PORT_TAKEN = 9
    BAR_MISSED = 10
    SETUP = 11
    FAULT_FAILED = 12
    INTERRUPTED = 130


class PortTakenError(CellError):
    """A port that this program must listen on belongs to another program."""

    code = FaultCode.PORT_TAKEN


class AlreadyRunningError(CellError):
    """Another controller holds the runtime directory."""

    code = FaultCode.ALREADY_RUNNING


class RestartLimitError(CellError):
    """A process died so often that it stays down."""

    code = FaultCode.PROCESS_RESTART_LIMIT


_BY_TYPE: tuple[tuple[type[CellError], ExitCode], ...] = (
    (ConfigError, ExitCode.CONFIG),
    (ModelError, ExitCode.MODEL),
    (PortTakenError, ExitCode.PORT_TAKEN),
    (AlreadyRunningError, ExitCode.ALREADY_RUNNING),
    (RestartLimitError, ExitCode.RESTART_LIMIT),
    (StorageError, ExitCode.STORAGE),
)


def compute_exit_code(error: CellError) -> ExitCode:
    """Return the exit code of a deliberate error."""
    for kind, code in _BY_TYPE:
        if isinstance(error, kind):
            return code
    return ExitCode.NOT_READY
