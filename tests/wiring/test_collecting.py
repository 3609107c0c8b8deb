import gc

import pytest

from clusterability.wiring.collecting import without_collections


@pytest.fixture
def collecting():
    was_enabled = gc.isenabled()
    gc.enable()
    yield
    if not was_enabled:
        gc.disable()


@pytest.mark.usefixtures("collecting")
def test_collections_pause_and_go_on():
    with without_collections():
        assert not gc.isenabled()
        with without_collections():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


@pytest.mark.usefixtures("collecting")
def test_collections_go_on_after_an_error():
    with pytest.raises(KeyError), without_collections():
        raise KeyError
    assert gc.isenabled()


@pytest.mark.usefixtures("collecting")
def test_collections_that_are_off_stay_off():
    gc.disable()
    with without_collections():
        assert not gc.isenabled()
    assert not gc.isenabled()
    gc.enable()
