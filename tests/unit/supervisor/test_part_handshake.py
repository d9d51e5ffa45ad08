"""Four phases about one part."""

from cell.supervisor.part_handshake import PartHandshake

SECOND = 1_000_000_000


def test_the_four_phases_follow_each_other() -> None:
    handshake = PartHandshake()
    handshake.offer(0)
    seen = [(handshake.part_done, handshake.is_idle)]

    for part_taken in (False, True, True, False):
        handshake.follow(part_taken=part_taken, now_ns=1)
        seen.append((handshake.part_done, handshake.is_idle))

    assert seen == [
        (True, False),
        (True, False),
        (False, False),
        (False, False),
        (False, True),
    ]


def test_a_line_that_still_says_taken_gets_no_new_part() -> None:
    handshake = PartHandshake()

    handshake.follow(part_taken=True, now_ns=0)

    assert not handshake.is_idle


def test_a_silent_line_is_overdue_and_the_offer_stands() -> None:
    handshake = PartHandshake()
    handshake.offer(0)

    assert not handshake.is_overdue(9 * SECOND)
    assert handshake.is_overdue(11 * SECOND)
    assert handshake.part_done


def test_a_line_that_never_lets_go_is_overdue_too() -> None:
    handshake = PartHandshake()
    handshake.offer(0)
    handshake.follow(part_taken=True, now_ns=SECOND)

    assert handshake.is_overdue(12 * SECOND)


def test_nothing_is_overdue_while_nothing_is_offered() -> None:
    assert not PartHandshake().is_overdue(10**15)
