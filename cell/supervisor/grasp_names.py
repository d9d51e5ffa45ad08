"""What a grasp cycle does, and how a grasp ends, as status and records name it."""

from enum import StrEnum


class Phase(StrEnum):
    """What the cycle does right now."""

    NONE = ""
    WAITING_FOR_LINE = "waiting for the line"
    LOOKING = "looking"
    APPROACHING = "approaching"
    REACHING_IN = "reaching in"
    GRASPING = "grasping"
    LIFTING = "lifting"
    TRANSFERRING = "transferring"
    WAITING_FOR_OUTFEED = "waiting for the outfeed"
    PLACING = "placing"
    LETTING_GO = "letting go"
    GIVING_BACK = "giving back"
    CLEARING_VIEW = "clearing the view"


class Outcome(StrEnum):
    """How one attempt ended."""

    PLACED = "placed"
    NOTHING_GRIPPED = "nothing gripped"
    TOO_MUCH_FORCE = "too much force"
    LOST_WHILE_LIFTING = "lost while lifting"
    LOST_IN_TRANSFER = "lost in transfer"
    WRONG_PART = "wrong part"
