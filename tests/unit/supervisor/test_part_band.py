"""What was lifted is weighed and compared with the parts of this cell."""

from dataclasses import replace

import numpy as np
import pytest

from cell.config import PartBandConfig
from cell.contracts.servo import ServoCommand, ServoState
from cell.supervisor.part_band import SAMPLES, PartScale, find_misfit
from tests.fakes.servo import RESTING_SERVO

BAND = PartBandConfig(
    width_min_m=0.010, width_max_m=0.070, mass_min_kg=0.2, mass_max_kg=1.5
)


class Sensor:
    """A servo process of which only the force at the tool is of interest."""

    def __init__(self) -> None:
        self.cycle = 0
        self.state: ServoState | None = None

    def show(self, force_z_n: float) -> None:
        self.cycle += 1
        force_n = np.array([3.0, -2.0, force_z_n, 0.0, 0.0, 0.0])
        self.state = replace(RESTING_SERVO, cycle=self.cycle, force_tcp_n=force_n)

    def read_state(self) -> ServoState | None:
        return self.state

    def read_command(self) -> ServoCommand | None:
        return None

    def write_command(self, command: ServoCommand) -> None:
        raise AssertionError(command)


def test_a_mass_is_the_mean_of_the_newest_samples_against_the_first() -> None:
    sensor = Sensor()
    scale = PartScale(sensor)
    # Reaching in: what is touched later does not count.
    for force_n in (-1.0, -2.0, -3.0, -2.0, -2.0, 80.0):
        sensor.show(force_n)
        assert not scale.look_free()
    # Lifting: the jolt of the beginning does not count.
    for force_n in (-90.0, -11.0, -12.0, -13.0, -11.81, -11.24):
        sensor.show(force_n)
        assert not scale.look_lifted()

    assert scale.compute_mass_kg() == pytest.approx((11.81 - 2.0) / 9.81)


def test_a_sample_that_is_seen_twice_counts_once() -> None:
    sensor = Sensor()
    scale = PartScale(sensor)
    sensor.show(0.0)
    scale.look_free()
    for force_n in (-9.81, -19.62):
        sensor.show(force_n)
        scale.look_lifted()
    for _ in range(SAMPLES):
        scale.look_lifted()

    assert scale.compute_mass_kg() == pytest.approx(1.5)


def test_without_samples_of_this_attempt_there_is_no_mass() -> None:
    sensor = Sensor()
    scale = PartScale(sensor)
    scale.look_free()
    assert scale.compute_mass_kg() is None

    sensor.show(0.0)
    scale.look_free()
    assert scale.compute_mass_kg() is None
    sensor.show(-5.0)
    scale.look_lifted()
    assert scale.compute_mass_kg() is not None

    scale.begin()

    assert scale.compute_mass_kg() is None


@pytest.mark.parametrize(
    ("width_m", "mass_kg"),
    [(0.010, 0.2), (0.070, 1.5), (0.040, 0.8)],
)
def test_what_lies_in_both_bands_fits(width_m: float, mass_kg: float) -> None:
    assert find_misfit(BAND, width_m, mass_kg) == ""


@pytest.mark.parametrize(
    ("width_m", "mass_kg", "said"),
    [
        (0.0099, 0.8, "width 9.9 mm, parts have 10.0 to 70.0 mm"),
        (0.0702, 0.8, "width 70.2 mm"),
        (float("nan"), 0.8, "width"),
        (0.040, 0.19, "mass 0.19 kg, parts have 0.20 to 1.50 kg"),
        (0.040, 1.51, "mass 1.51 kg"),
        (0.040, None, "mass unknown"),
        (0.040, float("inf"), "mass"),
        (0.040, float("nan"), "mass"),
    ],
)
def test_what_lies_beside_a_band_is_named_with_the_band(
    width_m: float, mass_kg: float | None, said: str
) -> None:
    assert said in find_misfit(BAND, width_m, mass_kg)


def test_a_light_part_that_the_sensor_takes_for_nothing_fits_a_band_from_zero() -> None:
    band = BAND.model_copy(update={"mass_min_kg": 0.0})

    assert find_misfit(band, 0.04, -0.15) == ""


def test_a_cell_without_a_band_compares_nothing() -> None:
    assert find_misfit(None, 0.5, None) == ""
