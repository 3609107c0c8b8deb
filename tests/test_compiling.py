import numba
import pytest

import clusterability.compiling as module
from clusterability.compiling import compiled


@pytest.mark.parametrize("reorder", [False, True])
def test_a_read_only_package_without_a_cache_folder(reorder, monkeypatch):
    def njit(**options):
        if options["cache"]:
            raise RuntimeError("cannot cache function 'double': no locator available")
        return numba.njit(**options)

    monkeypatch.setattr(module, "njit", njit)

    @compiled(reorder=reorder)
    def double(x):
        return x + x

    assert double(3) == 6
    assert double.nopython_signatures
