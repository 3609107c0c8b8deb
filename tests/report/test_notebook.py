import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from clusterability import toy
from clusterability.datasets import dataset_from_arrays, load_dataset
from clusterability.report.verdict import sentence
from results import planted, result_of, small_result

MARKUP = "<script>alert(1)</script>&\"'<img src=x onerror=y> $x$"


class Parts(HTMLParser):
    """The tags and the words of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.words = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, words):
        self.words += words


@pytest.mark.slow
def test_a_result_is_shown_with_its_numbers_sentence_and_sheet():
    result = small_result(null=[0.5, 0.6], warnings=["take care"])
    parts = Parts(result._repr_html_())
    for words in ("mlp.pt: 9 neurons", "0.550 +- 0.050", sentence(result), "warning: take care"):
        assert words in parts.words
    (picture,) = [about for tag, about in parts.tags if tag == "img"]
    kind, _, content = picture["src"].partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(content).startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_figure_is_shown_without_pyplot():
    figure = small_result(null=[0.5, 0.6]).plot()
    assert figure._repr_png_().startswith(b"\x89PNG")


@pytest.mark.slow
def test_markup_in_names_is_text():
    result = small_result(network=MARKUP, warnings=[MARKUP])
    layers = tuple(replace(layer, name=f"{i}{MARKUP}") for i, layer in enumerate(result.layers))
    page = replace(result, layers=layers, graph=None)._repr_html_()
    parts = Parts(page)
    plain = {"div", "p", "table", "thead", "tbody", "tr", "th", "td", "img", "span"}
    assert {tag for tag, _ in parts.tags} == plain
    assert sum(tag == "img" for tag, _ in parts.tags) == 1
    assert parts.words.count(MARKUP) >= 2
    assert not re.search(r"\$[^<]", page)  # nor is it mathematics


@pytest.mark.slow
def test_many_clusters_are_summed_up():
    graph, labels = planted([40, 60, 40], 20)
    assert "... and 4 smaller clusters" in Parts(result_of(graph, labels)._repr_html_()).words


def test_repr_is_short():
    result = small_result(null=[0.5] * 1000)
    text = repr(result)
    assert text.count("\n") == 2
    assert text.endswith(sentence(result))
    for other in (result.plain, result.plain.null, result.graph, *result.graph.blocks):
        assert len(repr(other)) < 200
        assert "\n" not in repr(other)
    assert len(repr(toy.star(10**4))) < 200


def test_repr_of_data_sets():
    digits = load_dataset("digits")
    own = dataset_from_arrays(digits.train.x, digits.train.y, name="mine\x1b[2J")
    assert repr(own).startswith(r"Dataset 'mine\x1b[2J': 10 classes")
    assert "array" not in repr(own) + repr(digits.train)
