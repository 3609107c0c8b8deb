import numba
import pytest

from clusterability.compiling import compiled


@pytest.mark.parametrize("reorder", [False, True])
def test_a_read_only_package_without_a_cache_folder(reorder, monkeypatch):
    def without_a_folder(**options):
        if options["cache"]:
            raise RuntimeError("cannot cache function 'double': no locator available")
        return njit(**options)

    njit = numba.njit
    with monkeypatch.context() as patched:
        patched.setattr(numba, "njit", without_a_folder)

        @compiled(reorder=reorder)
        def double(x):
            return x + x

    assert double(3) == 6
    assert double.nopython_signatures
