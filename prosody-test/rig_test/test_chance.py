"""The rig tells differences from noise, both ways."""

import random

from rig.chance import alike


def measured(late: float) -> list[dict[str, float]]:
    """40 rounds of ten measurements of about 100 ms, with a tail; one of them is `late` seconds later than the others."""
    chance = random.Random(7)
    return [{str(name): 0.1 + chance.expovariate(1000) + late * (name == 3) for name in range(10)} for _ in range(40)]


def test_what_differs_by_half_its_noise_is_told_apart():
    assert alike(measured(0.0005)) < 1e-4


def test_what_does_not_differ_is_not_told_apart():
    assert alike(measured(0)) > 0.01
