"""A complaint crosses from one process to another and ends with its trouble."""

from pathlib import Path

from cell.contracts.errors import Complaint, DriverUnreachableError, FaultCode
from cell.mailbox.complaint import SERVO, ComplaintBox


def test_a_complaint_is_read_as_written_until_it_is_over(tmp_path: Path) -> None:
    writer, reader = ComplaintBox(tmp_path, SERVO), ComplaintBox(tmp_path, SERVO)
    complaint = Complaint.of(DriverUnreachableError("arm", "nobody at 10.0.0.1"))

    before = reader.read()
    writer.write(complaint)
    during = reader.read()
    writer.write(None)
    after = reader.read()
    writer.close()
    reader.close()

    assert before is None
    assert during == Complaint(FaultCode.DRIVER_UNREACHABLE, "arm: nobody at 10.0.0.1")
    assert after is None


def test_what_an_earlier_life_complained_about_is_cleared(tmp_path: Path) -> None:
    first = ComplaintBox(tmp_path, SERVO)
    first.write(Complaint(FaultCode.DRIVER_TIMEOUT, "arm: silent"))
    first.close()

    second = ComplaintBox(tmp_path, SERVO)
    second.write(None)

    assert second.read() is None
    second.close()


def test_a_sentence_of_any_length_and_script_fits(tmp_path: Path) -> None:
    box = ComplaintBox(tmp_path, SERVO)

    for text in ("x" * 5000, "\u00e4\U0001f916" * 3000, '"\\' * 2000):
        box.write(Complaint(FaultCode.DRIVER_PROTOCOL, text))
        said = box.read()
        assert said is not None
        assert text.startswith(said.text)
        assert len(said.text) > 50
    box.close()
