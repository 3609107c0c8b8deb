"""Random networks are either refused, or compute the same after any rescaling."""

from itertools import islice

import pytest
import torch

from clusterability.errors import InputError
from clusterability.promoting import HiddenScales
from random_networks import KINDS, each_drawn

REFUSED = {"gate", "squeeze_excite"}
"""Steps that are not homogeneous."""


def rescaled_or_refused(network):
    """Whether the network was rescaled; its function must be the same then."""
    x = network.example()
    expected = network(x).detach()
    try:
        scales = HiddenScales(network, (x,))
    except InputError:
        return False
    generator = torch.Generator().manual_seed(2)
    scales.apply_(torch.rand(scales.n_groups, generator=generator, dtype=torch.float64) + 0.2)
    size = float(expected.abs().max())
    torch.testing.assert_close(network(x).detach(), expected, rtol=0, atol=1e-10 * max(1, size))
    scales.balance_()
    torch.testing.assert_close(network(x).detach(), expected, rtol=0, atol=1e-9 * max(1, size))
    return True


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_function_stays(kind):
    rescaled = (rescaled_or_refused(network) for network in each_drawn(4, kind))
    n_rescaled = sum(islice(filter(None, rescaled), 1))  # one is enough
    assert n_rescaled or kind in REFUSED
