"""Rows F17 to F39: robot, gripper and camera."""

from typing import Final

from sim2real.faults.parts import (
    FIDUCIALS,
    NOT_BUILT,
)
from sim2real.faults.rows import NO_CAUSE, Boundary, FaultRow, Rung, Way

_STOPPED = ("ABORTED", "HELD")
_GOING_ON = ("EXECUTE", "SUSPENDED")


def _listed(
    number: int, name: str, at: Boundary, reaction: str, reason: str
) -> FaultRow:
    return FaultRow(
        id=f"F{number:02}",
        name=name,
        boundary=at,
        rung=Rung.LATCH if at is not Boundary.GRIPPER else Rung.STOP,
        reaction=reaction,
        way=Way.LISTED,
        reason=reason,
    )


def _row(
    number: int,
    name: str,
    at: Boundary,
    rung: Rung,
    reaction: str,
    settles: tuple[tuple[str, ...], tuple[str, ...]],
    bound: tuple[float | None, str],
    unranked: str = "",
) -> FaultRow:
    return FaultRow(
        id=f"F{number:02}",
        name=name,
        boundary=at,
        rung=rung,
        reaction=reaction,
        way=Way.CELL,
        states=settles[0],
        causes=settles[1],
        bound_ms=bound[0],
        bound=bound[1],
        unranked=unranked,
    )


_ARM = Boundary.ROBOT
_LINK = (_STOPPED, ("robot_link_lost", "robot_not_running", "servo_fault"))

_PACKAGE: Final = (
    "from the package on the wire to the servo process's own stamp: 10 ms, for one "
    "package (2 ms), the cycle that reads it, and the proxy between; the cell's stop: "
    "100 ms from the order at the robot"
)

ROBOT_ROWS: Final = (
    _row(
        17,
        "three in a hundred RTDE packages are lost",
        _ARM,
        Rung.RECORD,
        "production goes on; the newest sample stays young",
        (_GOING_ON, ()),
        (40.0, "age of the arm's sample: 40 ms, five guard periods"),
    ),
    _row(
        18,
        "RTDE falls silent, the socket stays open",
        _ARM,
        Rung.STOP,
        "no setpoint is sent any more; the robot's own watchdog ends its program",
        _LINK,
        (40.0, "last setpoint: 40 ms"),
    ),
    _row(
        19,
        "RTDE stalls for 80 ms, then all packages come at once",
        _ARM,
        Rung.HOLD,
        "the arm waits; old samples are passed over; no motion is made up for",
        (_GOING_ON, ()),
        (
            8.0,
            "from the burst to a sample that is new: 8 ms, one guard period; the "
            "hold before it: 60 ms",
        ),
    ),
    _row(
        20,
        "the robot's clock stands still, packages keep coming",
        _ARM,
        Rung.STOP,
        "no setpoint is sent any more; then the link is given up",
        _LINK,
        (24.0, "last setpoint: 24 ms, three guard periods"),
    ),
    _row(
        21,
        "protective stop",
        _ARM,
        Rung.LATCH,
        "latch; never unlocked by us, and nothing moves when a person unlocks it",
        (("ABORTED",), ("protective_stop",)),
        (10.0, _PACKAGE),
    ),
    _row(
        22,
        "emergency stop",
        _ARM,
        Rung.LATCH,
        "latch; orders are forgotten, nothing moves on release and power-up",
        (("ABORTED",), ("emergency_stop", "robot_not_running")),
        (10.0, _PACKAGE),
    ),
    _row(
        23,
        "the speed slider is moved to one half",
        _ARM,
        Rung.RECORD,
        "motion is planned slower; no alarm, no stop",
        (_GOING_ON, ()),
        (None, ""),
    ),
    _row(
        24,
        "the joints no longer follow their setpoints",
        _ARM,
        Rung.LATCH,
        "rest, end the robot's program, latch",
        (("ABORTED",), ("servo_fault", "robot_not_running")),
        (100.0, "100 ms from the moment the gap is too large"),
    ),
    _row(
        25,
        "somebody ends our program at the robot",
        _ARM,
        Rung.LATCH,
        "latch; no command is sent until a person released the arm",
        (("ABORTED",), ("robot_not_running", "servo_fault")),
        (200.0, "200 ms"),
    ),
    _row(
        26,
        "another robot stands at the configured address",
        _ARM,
        Rung.STOP,
        "its serial number differs: no link is kept to it, no person can release it",
        (_STOPPED, ("arm_wrong_robot",)),
        (
            5_000.0,
            "before anything is sent to it; told within 5 s of the exchange, for links "
            "are opened anew after up to 2 s",
        ),
    ),
    FaultRow(
        id="F27",
        name="a joint target wraps by a turn, or comes in degrees",
        boundary=_ARM,
        rung=Rung.STOP,
        reaction="as a setpoint refused against the present position; as an order "
        "ended at the first limit, and refused until a person releases it",
        way=Way.CODE,
        bound_ms=8.0,
        bound="one guard period: 8 ms, for the setpoint. The fault list asks for a "
        "latch (R4); a refused order stops (R3): it left the arm within its limits",
        events=("refused",),
    ),
    _row(
        28,
        "the part is lost on the way",
        Boundary.GRIPPER,
        Rung.DEGRADE,
        "nothing is placed; counted as lost, the cell goes on with another part",
        (_GOING_ON, ()),
        (150.0, "150 ms"),
        NO_CAUSE,
    ),
    _row(
        29,
        "the gripper always reports a held part",
        Boundary.GRIPPER,
        Rung.STOP,
        "the release is not confirmed: the cell holds",
        (("HELD",), ("place_not_confirmed",)),
        (12_000.0, "one cycle: 12 s with the rest of the one under way"),
    ),
    _row(
        30,
        "the fingers never come to rest",
        Boundary.GRIPPER,
        Rung.STOP,
        "no move while the fingers are in doubt; the cell holds",
        (("HELD",), ("gripper_fault",)),
        (3_500.0, "1.5 times the slowest stroke and one poll: 3.5 s"),
    ),
    _listed(
        31,
        "air pressure is low",
        Boundary.GRIPPER,
        "the part is held, the cell stops between parts",
        "this cell's gripper is electric and has no air",
    ),
    _row(
        32,
        "two parts, or a wrong part, in the fingers",
        Boundary.GRIPPER,
        Rung.DEGRADE,
        "weight or width out of its band: back to the bin, uncounted; too many in a "
        "row hold the cell",
        (_GOING_ON, ()),
        (12_000.0, "one cycle: 12 s"),
        NO_CAUSE,
    ),
    _row(
        33,
        "the camera repeats one picture with new stamps",
        Boundary.CAMERA,
        Rung.HOLD,
        "its pictures count as none; the cell holds before the next grasp",
        (("HELD",), ("camera_stale",)),
        (200.0, "noticed: three frames at 15 Hz, 200 ms"),
    ),
    _row(
        34,
        "the camera's own clock stands, its pictures live",
        Boundary.CAMERA,
        Rung.HOLD,
        "its pictures count as none; the cell holds before the next grasp",
        (("HELD",), ("camera_stale",)),
        (134.0, "last picture taken: two frames at 15 Hz, 134 ms"),
    ),
    _row(
        35,
        "pictures stop coming",
        Boundary.CAMERA,
        Rung.HOLD,
        "no grasp is begun on an old picture; the cell holds until new ones come",
        (("HELD",), ("camera_stale", "camera_unreachable")),
        (
            15_000.0,
            "one cycle and 2 s of patience. The fault list wants the age used "
            "up after two policy periods; a picture is asked for once a cycle, "
            "and none older than the question is taken",
        ),
    ),
    _row(
        36,
        "pictures are overexposed, blurred, or half of each is missing, by turns",
        Boundary.CAMERA,
        Rung.HOLD,
        "no policy, the fallback included, takes depth from any of them; the cell "
        "holds and asks for no refill. Of a black picture the colour alone is refused: "
        "where the depth camera brings its own light, depth is judged by itself",
        (("HELD",), ("camera_blind",)),
        (
            15_000.0,
            "one cycle. The fault list wants one frame: the very frame is "
            "refused that a policy is asked about; the hold comes with it",
        ),
    ),
    _listed(
        37,
        "the camera was moved",
        Boundary.CAMERA,
        "the fiducial is not where it was: latch",
        f"{NOT_BUILT}{FIDUCIALS}",
    ),
    _row(
        38,
        "the two cameras of the cell are swapped",
        Boundary.CAMERA,
        Rung.STOP,
        "the serial numbers differ: no picture is taken; the cell holds, and does "
        "not start",
        (("HELD",), ("camera_wrong_device",)),
        (
            5_000.0,
            "before a picture is taken; told within 5 s, for a camera is opened anew "
            "after up to 1 s",
        ),
    ),
    FaultRow(
        id="F39",
        name="the depth image has a hole where the part lies",
        boundary=Boundary.CAMERA,
        rung=Rung.DEGRADE,
        reaction="neither policy proposes a grasp there",
        way=Way.CODE,
        bound_ms=None,
        bound="in the same frame",
    ),
)
