"""Each kind of figure, of networks that take a second."""

import json

import numpy as np
import pytest
from matplotlib.text import Text

from clusterability.experiments import plan
from clusterability.experiments.drawing import DRAWINGS, Drawn, draw
from clusterability.experiments.figures import FIGURES
from clusterability.experiments.records import Figure
from clusterability.experiments.reproducing import reproduce
from clusterability.experiments.store import MEASUREMENTS, Store
from clusterability.experiments.tasks import MeasureNew
from reproduced import small_table

pytestmark = pytest.mark.slow


def figures():
    table = small_table()
    last = ((table, table.lines[1:]),)
    new = tuple(MeasureNew("small-mlp", (1, 8, 8), 4, "published", n) for n in (0, 10))
    return {
        "scatter": Figure("X.1", "scatter", "scatter", ((table, table.lines),)),
        "nulls": Figure("X.2", "nulls", "nulls", last),
        "network": Figure("X.3", "network", "network", last),
        "new": Figure("X.4", "new", "new", about={"new": new, "published": (10.3, 0.03)}),
        "samples": Figure("X.5", "samples", "samples", about={"datasets": ("digits",), "label": 3}),
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    added = {figure.name: figure for figure in figures().values()}
    with pytest.MonkeyPatch.context() as patched:
        for name, figure in added.items():
            patched.setitem(plan.EXPERIMENTS, name, figure)
        found = reproduce(list(added), out=folder, n_runs=1, workers=1)
    assert not found.failed
    assert {f"{name}.png" for name in added} <= {path.name for path in found.written}
    return Store(folder)


def drawn(kind, store):
    return draw(Drawn(figures()[kind], store, "published", 1, None))


def test_all_kinds_are_tested():
    assert set(figures()) == set(DRAWINGS) == {figure.kind for figure in FIGURES.values()}


def test_a_point_is_a_network(store):
    (ax,) = drawn("scatter", store).axes
    points = np.concatenate([np.asarray(found.get_offsets()) for found in ax.collections])
    names = [json.loads(p.read_text()) for p in store.runs.glob(f"*/{MEASUREMENTS}")]
    names = [n for n in names if n["settings"]["null"] == "layer"]
    expected = {(round(n["ncut"], 9), round(n["z_score"], 9)) for n in names}
    assert expected
    assert expected <= {tuple(np.round(point, 9)) for point in points}
    # And the published mean of each line.
    assert (8.88, (8.88 - 9.183) / 0.031) in {tuple(point) for point in points}
    assert len(points) == 2 + 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["scatter", "nulls", "network"])
def test_a_figure_says_that_its_networks_were_cut_short(kind, store):
    short = figures()[kind].shortened(8)  # which takes nothing away from these
    figure = draw(Drawn(short, store, "published", 1, None))
    texts = [text.get_text().replace("\n", " ") for text in figure.findobj(Text)]
    assert any("at most 8" in text for text in texts)


def test_the_last_network_against_both_nulls(store):
    figure = drawn("nulls", store)
    filled = [ax for ax in figure.axes if ax.lines]
    assert len(filled) == 1
    labels = filled[0].get_legend_handles_labels()[1]
    assert labels == ["layer", "layer-nonzero"]


def test_new_networks_are_measured_as_they_begin(store):
    first, second = drawn("new", store).axes
    ncuts = figures()["new"].about["new"][0].ncuts(store)["ncut"]
    assert len(set(ncuts)) == 4
    assert (
        f"ours: {np.mean(ncuts):.3f} ± {np.std(ncuts):.3f}"
        in (first.get_legend_handles_labels()[1])
    )
    assert "published" not in str(second.get_legend_handles_labels()[1])


def test_nothing_is_drawn_of_nothing(tmp_path):
    for kind in ("scatter", "nulls", "network", "new"):
        assert drawn(kind, Store(tmp_path)) is None
