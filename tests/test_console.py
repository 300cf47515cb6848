"""Stages are timed by the clock and by the cores."""

import time

import pytest

from training.report.cost import Cost, estimate_cost, watt_hours
from training.report.quantities import duration, energy, percent
from training.settings.console import Stages


def busy(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_work_counts_as_core_seconds_and_waiting_does_not():
    stages = Stages(quiet=True)
    with stages.stage("work"):
        busy(0.2)
    with stages.counted("wait", 1, "naps") as advance:
        time.sleep(0.2)
        advance(1)
    assert stages.cpu_seconds["work"] == pytest.approx(0.2, abs=0.1)
    assert stages.seconds["wait"] >= 0.2
    assert stages.cpu_seconds["wait"] < 0.1


def test_a_stage_that_comes_twice_is_added_up():
    stages = Stages(quiet=True)
    for _ in range(2):
        with stages.stage("compute features"):
            time.sleep(0.05)
    assert list(stages.seconds) == ["compute features"]
    assert stages.seconds["compute features"] >= 0.1


def test_energy_is_that_of_cores_at_work():
    assert watt_hours(3600) == 12  # a core for an hour
    cost = Cost({"a": 10.0}, 0, 0, {"a": 15.0, "b": 5.0})
    assert cost.cpu_total == 20


def test_end_to_end_costs_the_cores_what_it_costs():
    cost = estimate_cost({}, onnx_ms=10, photos=100)
    assert cost.end_to_end_cpu_seconds == pytest.approx(180)  # 18 x 10 ms x 100 photos x 10 epochs


def test_quantities_are_written_as_they_are_read_most_easily():
    assert percent(0.9032) == "90.3 %"
    assert [duration(s) for s in (99.94, 757, 7200)] == ["99.9 s", "13 min", "2.0 h"]
    spread = [energy(hours) for hours in (1500, 90, 0.13, 0.0059, 3e-5)]
    assert spread == ["1.5 kWh", "90 Wh", "0.13 Wh", "6 mWh", "under 1 mWh"]
