"""The dashboard server (29999): one line in, one line out."""

from collections.abc import Callable

from cell.contracts.robot import RobotMode
from sim2real.virtual_cell.ur.arm import Arm
from sim2real.virtual_cell.ur.control_script import ProgramRunner, RuntimeState
from sim2real.virtual_cell.ur.rtde_server import VERSION
from sim2real.virtual_cell.ur.script_port import Program
from sim2real.virtual_cell.ur.sockets import Connection

_GREETING = "Connected: Universal Robots Dashboard Server"
SERIAL_NUMBER = "20215500001"  # clients accept digits only
OTHER_SERIAL_NUMBER = "20225500042"
"""Of the robot that somebody put in its place."""
_VERSION = f"URSoftware {'.'.join(map(str, VERSION))} (Mar 17 2022)"
_MODES = {
    RobotMode.NO_CONTROLLER: "NO_CONTROLLER",
    RobotMode.DISCONNECTED: "DISCONNECTED",
    RobotMode.CONFIRM_SAFETY: "CONFIRM_SAFETY",
    RobotMode.BOOTING: "BOOTING",
    RobotMode.POWER_OFF: "POWER_OFF",
    RobotMode.POWER_ON: "POWER_ON",
    RobotMode.IDLE: "IDLE",
    RobotMode.BACKDRIVE: "BACKDRIVE",
    RobotMode.RUNNING: "RUNNING",
}
_STATES = {RuntimeState.PLAYING: "PLAYING", RuntimeState.PAUSED: "PAUSED"}
_TOO_EARLY = (
    "Cannot unlock protective stop until 5s after occurrence. Always inspect cause of "
    "protective stop before unlocking"
)


class Dashboard:
    """Answers to dashboard commands; one instance serves all clients."""

    def __init__(self, arm: Arm, runner: ProgramRunner) -> None:
        self._arm = arm
        self._runner = runner
        self._loaded = "cell.urp"
        self.serial_number = SERIAL_NUMBER
        self._answers: dict[str, Callable[[int], str]] = {
            "polyscopeversion": lambda _: _VERSION,
            "get serial number": lambda _: self.serial_number,
            "get robot model": lambda _: "UR5",
            "is in remote control": lambda _: "true",
            "get operational mode": lambda _: "NONE",
            "running": self._running,
            "robotmode": self._robot_mode,
            "safetymode": self._safety_mode,
            "safetystatus": self._safety_status,
            "programstate": self._program_state,
            "get loaded program": lambda _: f"Loaded program: /programs/{self._loaded}",
            "isprogramsaved": lambda _: f"true {self._loaded}",
            "play": self._play,
            "stop": self._stop,
            "pause": self._pause,
            "unlock protective stop": self._unlock,
            "power on": self._power_on,
            "power off": self._power_off,
            "brake release": self._release_brakes,
            "close safety popup": lambda _: "closing safety popup",
            "close popup": lambda _: "closing popup",
            "restart safety": lambda _: "Restarting safety",
            "shutdown": lambda _: "Shutting down",
        }
        self._prefixes = {
            "load ": self._load,
            "popup": lambda _: "showing popup",
            "addtolog": lambda _: "Added log message",
            "setuserrole": lambda text: f"Setting user role: {text}",
        }

    def answer(self, line: str, now_ns: int) -> str:
        """Return the reply to one command."""
        command = line.strip()
        found = self._answers.get(command.lower())
        if found is not None:
            return found(now_ns)
        for prefix, answer in self._prefixes.items():
            if command.lower().startswith(prefix):
                return answer(command[len(prefix) :].strip())
        return f"could not understand: '{command}'"

    def _running(self, _now_ns: int) -> str:
        playing = self._runner.state is RuntimeState.PLAYING
        return f"Program running: {str(playing).lower()}"

    def _robot_mode(self, _now_ns: int) -> str:
        return f"Robotmode: {_MODES[self._arm.safety.robot_mode]}"

    def _safety_mode(self, _now_ns: int) -> str:
        return f"Safetymode: {self._arm.safety.safety_mode_name}"

    def _safety_status(self, _now_ns: int) -> str:
        return f"Safetystatus: {self._arm.safety.safety_mode_name}"

    def _program_state(self, _now_ns: int) -> str:
        return f"{_STATES.get(self._runner.state, 'STOPPED')} {self._loaded}"

    def _load(self, name: str) -> str:
        if self._runner.is_running:
            return f"Error while loading program: {name}"
        self._loaded = name
        return f"Loading program: {name}"

    def _play(self, _now_ns: int) -> str:
        if not self._arm.safety.may_move:
            return "Failed to execute: play"
        if not self._runner.resume() and not self._runner.is_running:
            self._runner.submit(Program(self._loaded))
        return "Starting program"

    def _stop(self, _now_ns: int) -> str:
        self._runner.end("stopped at the dashboard")
        return "Stopped"

    def _pause(self, _now_ns: int) -> str:
        return "Pausing program" if self._runner.pause() else "Failed to execute: pause"

    def _unlock(self, now_ns: int) -> str:
        return "Protective stop releasing" if self._arm.unlock(now_ns) else _TOO_EARLY

    def _power_on(self, _now_ns: int) -> str:
        return "Powering on" if self._arm.safety.power_on() else "Failed to power on"

    def _power_off(self, _now_ns: int) -> str:
        self._arm.safety.power_off()
        return "Powering off"

    def _release_brakes(self, _now_ns: int) -> str:
        released = self._arm.safety.release_brakes()
        return "Brake releasing" if released else "Failed to release brakes"


class DashboardSession:
    """One dashboard connection."""

    def __init__(self, dashboard: Dashboard, connection: Connection) -> None:
        self._dashboard = dashboard
        self._connection = connection
        self._reply(_GREETING)

    def receive(self, now_ns: int) -> None:
        """Answer all complete lines, one reply each."""
        inbox = self._connection.inbox
        *lines, rest = inbox.split(b"\n")
        inbox[:] = rest
        for line in lines:
            command = line.decode("utf-8", "replace").strip("\r ")
            if command.lower() == "quit":
                self._reply("Disconnected")
                self._connection.is_closed = True
                return
            self._reply(self._dashboard.answer(command, now_ns))

    def end(self) -> None:
        """Hold nothing, release nothing."""

    def _reply(self, text: str) -> None:
        self._connection.send(text.encode() + b"\n")
