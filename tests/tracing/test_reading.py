import pytest
import torch

from clusterability.errors import InputError
from clusterability.tracing.operations import WeightOperation
from clusterability.tracing.origins import INPUT, Value
from clusterability.tracing.provenance import joined, moved, network_input, produced
from clusterability.tracing.reading import read, read_output
from clusterability.wiring.weights import Weight


def dense(value, axis=-1, name="fc"):
    return read(
        WeightOperation(name, Weight(f"{name}.weight"), True, value, axis % len(value.shape), 1)
    )


def convolution(value, axis=1):
    return read(WeightOperation("conv", Weight("conv.weight"), False, value, axis, 1))


def shuffled(value, move):
    shape = move(torch.zeros(value.shape)).shape
    return moved([value], [value.shape], move, tuple(shape))


def concatenated(*values):
    shape = (1, sum(value.shape[1] for value in values), *values[0].shape[2:])
    return moved(values, [v.shape for v in values], lambda *x: torch.cat(x, 1), shape)


def arriving(reading):
    """For each neuron, the operations' outputs that arrive."""
    found = [set() for _ in range(len(reading.segments))]
    for arrivals in reading.arrivals:
        channels = arrivals.origin.channels[torch.from_numpy(arrivals.labels)].tolist()
        for channel, neuron in zip(channels, arrivals.neurons.tolist(), strict=True):
            found[neuron].add((arrivals.origin.operation, channel))
    return found


def test_a_convolution_reads_channels():
    reading = convolution(produced(3, (1, 4, 5, 5), 1))
    assert reading.inputs.tolist() == [0, 1, 2, 3]
    assert reading.segments.tolist() == [0, 0, 0, 0]
    assert arriving(reading) == [{(3, c)} for c in range(4)]
    assert reading.producers == (frozenset({3}),)
    assert reading.members(0).tolist() == [0, 1, 2, 3]


def test_a_convolution_reads_channels_of_mixed_pixels():
    """Pixels of a channel may come from several outputs, as after a pixel shuffle."""
    image = produced(0, (1, 8, 2, 2), 1)
    value = shuffled(image, lambda x: torch.pixel_shuffle(x.double(), 2).long())
    assert arriving(convolution(value)) == [{(0, 4 * c + i) for i in range(4)} for c in (0, 1)]


@pytest.mark.parametrize(
    ("order", "expected"),
    [((0, 1, 2, 3), [0, 0, 0, 0, 1, 1, 1, 1]), ((0, 2, 3, 1), [0, 1, 0, 1, 0, 1, 0, 1])],
)
def test_a_dense_layer_reads_a_channels_pixels_as_one_neuron(order, expected):
    image = produced(0, (1, 2, 2, 2), 1)
    reading = dense(shuffled(image, lambda x: x.permute(order).flatten(1)))
    assert reading.inputs.tolist() == expected
    assert arriving(reading) == [{(0, 0)}, {(0, 1)}]


def test_every_element_of_the_input_is_a_neuron():
    reading = dense(shuffled(network_input((1, 2, 3)), lambda x: x.flatten(1)))
    assert reading.inputs.tolist() == list(range(6))
    assert reading.producers == (frozenset({INPUT}),)


def test_a_dense_layer_reads_features_of_many_tokens():
    reading = dense(produced(2, (1, 7, 3), 2))
    assert reading.inputs.tolist() == [0, 1, 2]
    assert arriving(reading) == [{(2, c)} for c in range(3)]


def test_the_same_neuron_at_several_features_is_one():
    twice = concatenated(produced(0, (1, 2), 1), produced(0, (1, 2), 1))
    assert dense(twice).inputs.tolist() == [0, 1, 2, 3]
    hidden = produced(0, (1, 2), 1)
    assert dense(shuffled(hidden, lambda x: torch.cat([x, x], 1))).inputs.tolist() == [0, 1, 0, 1]


def test_a_concatenation_has_a_segment_for_each_set_of_operations():
    first, second = produced(0, (1, 2, 3), 1), produced(1, (1, 3, 3), 1)
    value = joined([concatenated(first, second), produced(2, (1, 5, 3), 1)], (1, 5, 3))
    value = concatenated(value, first)
    reading = convolution(value)
    assert reading.segments.tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert reading.n_segments == 3
    assert reading.producers == (frozenset({0, 2}), frozenset({1, 2}), frozenset({0}))
    assert reading.members(1).tolist() == [2, 3, 4]


def test_segments_are_numbered_by_their_first_neuron():
    first, second = produced(0, (1, 2), 1), produced(1, (1, 2), 1)
    value = shuffled(concatenated(first, second), lambda x: x[:, [2, 0, 3, 1]])
    reading = dense(value)
    assert reading.segments.tolist() == [0, 1, 0, 1]
    assert reading.producers == (frozenset({1}), frozenset({0}))
    assert reading.members(1).tolist() == [1, 3]


def test_constants_are_neurons_that_nothing_reaches():
    hidden = produced(0, (1, 2), 1)
    value = moved([hidden, None], [(1, 2), (1, 2)], lambda *x: torch.cat(x, 1), (1, 4))
    reading = dense(value)
    assert reading.inputs.tolist() == [0, 1, 2, 3]
    assert reading.segments.tolist() == [0, 0, 1, 1]
    assert reading.producers == (frozenset({0}), frozenset())


def test_a_layer_that_joins_positions_is_refused():
    image = produced(0, (1, 3, 2, 2), 1)
    for value in (image, shuffled(image, lambda x: x.flatten(2))):
        with pytest.raises(InputError, match=r"'fc' joins positions instead of neurons.*Flatten"):
            dense(value)


def test_reading_nothing():
    reading = dense(Value((1, 3), ()))
    assert reading.inputs.tolist() == [0, 1, 2]
    assert reading.producers == (frozenset(),)
    assert reading.arrivals == ()


def test_the_output_reads_neurons_whatever_their_places():
    image = produced(5, (2, 3, 4, 4), 1)
    reading = read_output(image)
    assert reading.inputs.tolist() == [0, 1, 2]
    assert arriving(reading) == [{(5, c)} for c in range(3)]


def test_an_output_of_sums_has_a_neuron_for_each_set_of_outputs():
    value = joined([produced(0, (1, 2, 2), 1), produced(1, (1, 1, 2), 2)], (1, 2, 2))
    assert arriving(read_output(value)) == [
        {(0, 0), (1, 0)},
        {(0, 0), (1, 1)},
        {(0, 1), (1, 0)},
        {(0, 1), (1, 1)},
    ]


def test_what_the_input_gives_the_output_does_not_count():
    assert read_output(network_input((1, 3))) is None
    assert read_output(Value((1, 3), ())) is None
    both = joined([network_input((1, 3)), produced(0, (1, 3), 1)], (1, 3))
    assert arriving(read_output(both)) == [{(0, c)} for c in range(3)]
    beside = concatenated(network_input((1, 2)), produced(0, (1, 3), 1))
    assert arriving(read_output(beside)) == [{(0, c)} for c in range(3)]
