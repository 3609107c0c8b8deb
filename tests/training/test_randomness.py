from itertools import product

import numpy as np
import torch

from clusterability.training.randomness import Randomness, Use

PLACES = list(product((0, 1, 12), (0, 1), Use, (0, 1), (0, 1, 7)))


def numpy_numbers(seed, attempt, use, phase, epoch):
    return tuple(Randomness(seed, attempt).numpy(use, phase, epoch).integers(0, 2**62, 4))


def torch_numbers(seed, attempt, use, phase, epoch):
    generator = Randomness(seed, attempt).torch(use, phase, epoch)
    return tuple(torch.randint(0, 2**62, (4,), generator=generator).tolist())


def test_same_place_same_numbers_and_every_other_place_others():
    for numbers in (numpy_numbers, torch_numbers):
        first = [numbers(*place) for place in PLACES]
        assert first == [numbers(*place) for place in reversed(PLACES)][::-1]
        drawn = [number for four in first for number in four]
        assert len(set(drawn)) == len(drawn)


def test_nothing_depends_on_what_was_drawn_before():
    randomness = Randomness(3)
    expected = randomness.numpy(Use.ORDER, 0, 2).random()
    used = Randomness(3)
    for epoch in range(2):
        used.numpy(Use.ORDER, 0, epoch).random(100)
    assert used.numpy(Use.ORDER, 0, 2).random() == expected


def test_streams_are_uncorrelated():
    streams = np.stack(
        [Randomness(s).numpy(Use.DROPOUT, 0, e).random(4000) for s in range(3) for e in range(3)]
    )
    correlations = np.corrcoef(streams) - np.eye(len(streams))
    assert np.abs(correlations).max() < 5 / 4000**0.5


def test_the_values_are_part_of_what_a_seed_means():
    assert [use.value for use in Use] == [0, 1, 2, 3, 4]
    expected = np.random.SeedSequence(5, spawn_key=(2, 1, 0, 9)).generate_state(4)
    assert np.array_equal(Randomness(5, 2).sequence(Use.ORDER, 0, 9).generate_state(4), expected)
