"""The catalogue holds every row once, and no row is passed over in silence."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from cell.contracts.errors import ConfigError
from cell.supervisor.causes import Cause
from cell.supervisor.states import State
from ops.exit_codes import ExitCode
from sim2real.faults.__main__ import compute_code, main
from sim2real.faults.catalogue import ROWS, find_rows
from sim2real.faults.judgement import (
    Judgement,
    check_code,
    find_low,
    find_weakest,
)
from sim2real.faults.parts import AUDIT_LOG, MARKS, NOT_BUILT, find_marks
from sim2real.faults.results import (
    Outcome,
    RowResult,
    describe_result,
    join_results,
    judge_row,
    make_tree,
    name_variant,
    print_results,
)
from sim2real.faults.rows import FaultRow, Rung, Way
from sim2real.faults.runner import CHECKS, SCENARIOS, group_by_wires
from sim2real.faults.stand_config import Wire

ROOT = Path(__file__).resolve().parents[3]


def row(name: str) -> FaultRow:
    (found,) = find_rows([name])
    return found


def test_there_are_95_rows_in_order() -> None:
    assert [r.id for r in ROWS] == [f"F{number:02}" for number in range(1, 96)]


@pytest.mark.parametrize("fault", ROWS, ids=lambda fault: fault.id)
def test_a_row_is_either_runnable_or_says_why_not(fault: FaultRow) -> None:
    assert fault.name
    assert fault.reaction
    assert bool(fault.reason) is (fault.way is Way.LISTED)
    assert (fault.id in SCENARIOS) is (fault.way is Way.CELL)
    assert (fault.id in CHECKS) is (fault.way is Way.CODE)


@pytest.mark.parametrize("fault", ROWS, ids=lambda fault: fault.id)
def test_a_row_speaks_of_states_and_causes_that_there_are(fault: FaultRow) -> None:
    assert set(fault.states) <= set(State.__members__)
    assert set(fault.causes) <= {cause.value for cause in Cause}
    assert bool(fault.states) is (fault.way is Way.CELL)


@pytest.mark.parametrize("fault", ROWS, ids=lambda fault: fault.id)
def test_a_bound_in_numbers_is_said_in_words_too(fault: FaultRow) -> None:
    if fault.bound_ms is not None:
        assert fault.bound_ms > 0
        assert fault.bound


def test_scenarios_and_checks_belong_to_rows() -> None:
    assert set(SCENARIOS) | set(CHECKS) <= {r.id for r in ROWS}


def test_rows_are_found_by_id_in_the_order_of_the_catalogue() -> None:
    assert [r.id for r in find_rows(["f17", "F03"])] == ["F03", "F17"]


def test_an_unknown_id_is_named() -> None:
    with pytest.raises(ConfigError, match="no fault F96"):
        find_rows(["F01", "F96"])


@pytest.mark.parametrize("command", ["list", "run"])
def test_an_unknown_id_is_a_slip_in_the_command(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--id", "F96"])

    assert caught.value.code == int(ExitCode.USAGE)
    assert "there is no fault F96" in capsys.readouterr().err


def test_an_unusable_configuration_is_named_before_a_cell_is_started(
    tmp_path: Path,
) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("arm: 1\n")

    with pytest.raises(ConfigError, match=f"^{re.escape(str(config))}"):
        main(["run", "--id", "F01", "--config", str(config)])


def test_rows_that_need_no_wire_or_a_quiet_one_share_a_cell() -> None:
    rows = find_rows(["F01", "F02", "F18", "F25", "F29", "F33", "F50"])

    groups = {wires: [r.id for r in group] for wires, group in group_by_wires(rows)}

    assert groups == {
        frozenset({Wire.LINE, Wire.GRIPPER}): ["F01", "F02", "F25", "F29"],
        frozenset({Wire.ROBOT}): ["F18"],
        frozenset({Wire.CAMERA}): ["F33"],
    }


def test_a_listing_as_json_holds_all_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) is ExitCode.OK

    tree = json.loads(capsys.readouterr().out)
    assert len(tree["rows"]) == 95
    assert tree["rows"][0]["id"] == "F01"


def test_a_listing_for_people_says_of_each_row_whether_and_how_it_is_tried(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["list"]) is ExitCode.OK

    said = capsys.readouterr().out
    words = " ".join(said.split())
    assert "F03 the PLC answers, its heartbeat stands still R3," in words
    assert "95 faults: 71 tried, 24 not built." in words
    assert words.count("not built: ") == 24
    assert words.count("tried: ") == 71


@pytest.mark.parametrize("arguments", [["run"], ["run", "--all", "--id", "F01"]])
def test_a_run_wants_to_know_which_rows(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == ExitCode.USAGE


def test_a_missed_time_alone_is_told_from_a_missed_reaction() -> None:
    late = judge_row(row("F01"), Judgement("HELD", 400.0, 500.0, ("late: 400 ms",)))
    wrong = judge_row(
        row("F01"), Judgement("HELD", 400.0, None, ("late: 400 ms", "no event"))
    )

    assert late.outcome is wrong.outcome is Outcome.FAILED
    assert late.is_late_only
    assert not wrong.is_late_only
    assert make_tree([late, wrong])["summary"] == {
        "passed": 0,
        "failed": 2,
        "not built": 0,
        "late only": 1,
    }


def test_the_exit_code_turns_round_when_faults_are_left_out() -> None:
    passed = judge_row(row("F01"), Judgement("ABORTED", 200.0))
    failed = judge_row(row("F02"), Judgement("EXECUTE", None, None, ("nothing",)))
    listed = RowResult(row("F73"), Outcome.NOT_BUILT, reason="audit log")

    assert compute_code([passed, listed]) is ExitCode.OK
    assert compute_code([passed, failed]) is ExitCode.FAULT_FAILED
    assert compute_code([failed, listed], with_fault=False) is ExitCode.OK
    assert compute_code([passed], with_fault=False) is ExitCode.FAULT_FAILED


def test_people_read_what_was_missed() -> None:
    failed = judge_row(row("F02"), Judgement("EXECUTE", None, None, ("no reaction",)))
    text = io.StringIO()

    print_results([failed], Console(file=text, width=200))

    assert "no reaction" in text.getvalue()
    assert "1 failed" in text.getvalue()
    assert "no reaction" in describe_result(failed)


@pytest.fixture(scope="module")
def product_names() -> frozenset[str]:
    """Return the modules of the product and of the simulation, and all keys."""
    modules = {
        str(path.relative_to(ROOT))
        for folder in ("calibration", "cell", "ops", "policies", "safety", "sim2real")
        for path in (ROOT / folder).rglob("*.py")
        if "faults" not in path.parts
    }
    schema = json.loads((ROOT / "config.schema.json").read_text(encoding="utf-8"))
    keys = {
        f"{name}.{key}"
        for name, section in (*schema["$defs"].items(), ("", schema))
        for key in section.get("properties", {})
    }
    return frozenset(modules | keys)


@pytest.mark.parametrize(
    "fault", [r for r in ROWS if NOT_BUILT in r.reason], ids=lambda fault: fault.id
)
def test_no_row_waits_for_a_part_that_is_there(
    fault: FaultRow, product_names: frozenset[str]
) -> None:
    named = [part for part in MARKS if f"{NOT_BUILT}{part}" in fault.reason]

    assert named
    assert [find_marks(product_names, part) for part in named] == [()] * len(named)


def test_a_row_that_is_not_tried_waits_for_a_part_or_has_no_object() -> None:
    others = [r.id for r in ROWS if r.reason and NOT_BUILT not in r.reason]

    assert others == ["F31"]


def test_a_part_is_noticed_by_a_module_or_by_a_key() -> None:
    assert find_marks(frozenset({"ops/audit/chain.py"}), AUDIT_LOG)
    assert find_marks(frozenset({"Settings.audit"}), AUDIT_LOG)
    assert not find_marks(frozenset({"safety/guardian.py"}), AUDIT_LOG)


@pytest.mark.parametrize("fault", ROWS, ids=lambda fault: fault.id)
def test_a_row_with_a_bound_fails_on_its_own_bound(fault: FaultRow) -> None:
    if fault.way is not Way.CODE or fault.bound_ms is None:
        return
    seen = Rung.EXIT
    in_time, late, unseen = (
        check_code(fault, Judgement("held", time_ms, rung=seen, events=fault.events))
        for time_ms in (fault.bound_ms, fault.bound_ms + 1.0, None)
    )

    assert not in_time.missed
    assert late.is_late_only
    assert unseen.missed
    assert not unseen.is_late_only


def test_a_reaction_below_the_rung_of_its_row_is_missed() -> None:
    latch = row("F06")

    assert find_low(latch, Rung.LATCH) == find_low(latch, Rung.EXIT) == []
    assert find_low(latch, Rung.HOLD) == ["rung R2 only, R4 is due"]
    assert find_low(latch, None) == ["no rung was seen, R4 is due"]
    assert find_low(row("F17"), None) == []


def test_a_rung_of_the_table_counts_beside_a_weaker_one_that_was_seen() -> None:
    assert find_low(row("F27"), Rung.HOLD, Rung.STOP) == []
    assert find_low(row("F27"), Rung.HOLD, None) == ["rung R2 only, R3 is due"]
    assert find_weakest([Rung.STOP, Rung.HOLD]) is Rung.HOLD
    assert find_weakest([Rung.STOP, None]) is find_weakest([]) is None


@pytest.mark.parametrize("fault", ROWS, ids=lambda fault: fault.id)
def test_the_rung_of_every_row_is_checked_or_it_says_why_not(fault: FaultRow) -> None:
    is_checked = find_low(fault, None) != []

    assert is_checked is (fault.rung is not Rung.RECORD and not fault.unranked)


def test_rungs_that_are_not_checked_are_those_of_the_page() -> None:
    page = " ".join((ROOT / "ops/handbook/faults.md").read_text("utf-8").split())
    unranked = [r.id for r in ROWS if r.unranked]

    assert unranked == ["F28", "F32", "F40", "F41", "F51"]
    assert f"is not compared for {', '.join(unranked)}:" in page


def test_rows_that_assert_no_event_are_those_of_the_page() -> None:
    page = " ".join((ROOT / "ops/handbook/faults.md").read_text("utf-8").split())
    without = [r.id for r in ROWS if r.way is Way.CODE and not r.events]

    assert f"no event is asserted for {', '.join(without)}:" in page
    silent = [
        r.id
        for r in ROWS
        if r.way is Way.CELL
        and not r.causes
        and SCENARIOS[r.id].event == ("supervisor", "state")
    ]
    assert f"{', '.join(silent)} ask for none:" in page


def test_an_event_that_was_not_recorded_is_missed() -> None:
    fault = row("F59")
    seen = Judgement("held", 1.0, rung=Rung.HOLD, events=("held",))

    assert check_code(fault, seen).missed == ()
    assert check_code(fault, replace(seen, events=())).missed == (
        "no event 'held' was recorded",
    )


def test_the_output_tells_a_rung_that_was_seen_from_one_of_the_table() -> None:
    judgement = Judgement("refused", 1.0, rung=Rung.HOLD, table_rung=Rung.STOP)
    tree = make_tree([judge_row(row("F27"), judgement)])["rows"][0]

    assert (tree["rung_seen"], tree["rung_by_table"]) == (Rung.HOLD, Rung.STOP)


def test_variants_of_a_row_make_one_result_that_names_them() -> None:
    good = judge_row(row("F46"), Judgement("EXECUTE", 100.0))
    late = judge_row(row("F46"), Judgement("EXECUTE", 900.0, None, ("late: 900 ms",)))

    joined = join_results([good, name_variant(late, "stopped")])

    assert joined.outcome is Outcome.FAILED
    assert joined.is_late_only
    assert joined.sentences == ("late: stopped: 900 ms",)
    assert joined.judgement is not None
    assert joined.judgement.reaction_ms == 900.0
    assert join_results([good, good]).outcome is Outcome.PASSED


def test_a_variant_that_could_not_be_tried_spoils_a_row() -> None:
    good = judge_row(row("F46"), Judgement("EXECUTE", 100.0))
    untried = RowResult(row("F46"), Outcome.NOT_BUILT, reason="no library")

    joined = join_results([good, name_variant(untried, "stopped")])

    assert joined.outcome is Outcome.NOT_BUILT
    assert joined.reason == "stopped: no library"
    assert join_results([untried]).judgement is None
