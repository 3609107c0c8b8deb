import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from clusterability.graph import Block, Layer, NeuronGraph
from clusterability.report.numerals import LEVEL, p_text
from clusterability.report.text import describe, table
from clusterability.report.verdict import sentence
from results import planted, result_of, small_result

LOW, HIGH = 0.01, 1.0
"""n-cuts below and above the 0.075 of the small network."""


def test_below_all_shuffles():
    result = small_result(null=np.linspace(0.9, 1.1, 50))
    assert sentence(result).startswith("More clusterable than all 50 shuffles (p = 0.02, Z = -")


def test_below_most_shuffles():
    result = small_result(null=[LOW] + [HIGH] * 98 + [1.1])
    assert sentence(result).startswith("More clusterable than 99 of 100 shuffles (p = 0.02, Z = ")


def test_not_below():
    result = small_result(null=[LOW] * 23 + [HIGH] * 27)
    claim = "Not more clusterable than its shuffles at the 5 % level"
    assert sentence(result).startswith(f"{claim}: 23 of 50 lie at or below it (p = 0.47, Z = ")


def test_above_all():
    assert "all 50 lie at or below it (p = 1;" in sentence(small_result(null=[LOW] * 50))


def test_without_shuffles():
    assert sentence(small_result()) == "Nothing is said about chance: no shuffles were run."


def test_without_spread():
    assert "(p = 0.02; no Z, since they have no spread)" in sentence(small_result(null=[HIGH] * 50))
    assert "its one shuffle (p = 0.5; no Z, since one shuffle has no spread)" in sentence(
        small_result(null=[HIGH])
    )


def test_too_few_shuffles():
    few = sentence(small_result(null=[0.9, 1.0, 1.1]))
    assert few.endswith(
        ", but with 3 shuffles the smallest possible p is 1/4 = 0.25, above the 5 % level."
    )
    enough = sentence(small_result(null=np.linspace(0.9, 1.1, 19)))
    assert "smallest possible" not in enough
    assert "(p = 0.05," in enough


def test_refined_that_disagrees():
    null = list(np.linspace(0.9, 1.1, 50))
    result = small_result(null=null, refined_null=[LOW] * 25 + [HIGH] * 25)
    expected = ", but its refined n-cut is not below the shuffles' at the 5 % level (p = 0.51)."
    assert sentence(result).endswith(expected)
    result = small_result(null=[LOW] * 25 + [HIGH] * 25, refined_null=null)
    assert sentence(result).endswith(
        ", and its refined n-cut is below the shuffles' at the 5 % level (p = 0.02)."
    )


def test_degenerate_clusters():
    graph, labels = planted([100] * 4, 12, shares=[0.6, 0.2, 0.1] + [0.1 / 9] * 9, density=0.5)
    result = result_of(graph, labels, np.linspace(11.5, 12, 50))
    small = sum(cluster.volume_share < 0.01 for cluster in result.clusters)
    assert small > 1
    assert sentence(result).endswith(f", but {small} of 12 clusters hold under 1 % of the volume.")


def test_separate_parts():
    result = small_result(null=[HIGH] * 49 + [1.1], n_components=2)
    apart = "the network falls into 2 separate parts"
    assert sentence(result).endswith(f", but {apart}, which cost no cut to tell apart.")
    zero = replace(result, plain=replace(result.plain, ncut=1e-9))
    assert sentence(zero).endswith(f", but the n-cut is near 0 because {apart}.")
    three = replace(zero, plain=replace(zero.plain, clusters=(*zero.clusters, zero.clusters[0])))
    assert "near 0 because" not in sentence(three)


@pytest.mark.slow
@pytest.mark.parametrize("n_below", range(51))
def test_sentence_and_level_agree(n_below):
    said = sentence(small_result(null=[LOW] * n_below + [HIGH] * (50 - n_below)))
    assert said.startswith("More") == ((n_below + 1) / 51 <= LEVEL)
    assert "significant" not in said


def test_p_is_never_rounded_across_the_level():
    assert [p_text(p) for p in (LEVEL, 0.0499, 0.05004)] == ["0.05", "0.05", "0.05004"]
    assert p_text(1 / 51) == "0.02"


def test_table_of_one_network():
    result = small_result(null=[0.5, 0.6], eigenvalues=(0.0, 0.04))
    assert table([result]) == "\n".join(
        [
            "mlp.pt: 9 neurons, 1 of them isolated, 3 layers, 2 clusters",
            "",
            "                                  k-means         refined",
            "n-cut                               0.075           0.075",
            "2 shuffles, mean +- std    0.550 +- 0.050  0.550 +- 0.050",
            "effect                             86.4 %          86.4 %",
            "Z                                   -9.50           -9.50",
            "p                                    0.33            0.33",
            "effective clusters                    2.0             2.0",
            "smallest cluster's volume          43.1 %          43.1 %",
            "lower bound                         0.040",
            "",
            "cluster  neurons  volume    cut  pixels  hidden  logits",
            "      0        4  56.9 %  0.032       2       1       1",
            "      1        4  43.1 %  0.043       2       1       1",
        ]
    )


def test_table_without_shuffles_and_with_fewer_clusters():
    result = small_result()
    asked = replace(result, settings=replace(result.settings, n_clusters=12))
    text = table([asked])
    assert "2 clusters (12 were asked for)" in text
    assert "no shuffles" in text


def test_many_layers_and_clusters_stay_narrow():
    graph, labels = planted([60] * 13, 40, density=0.5)
    text = table([result_of(graph, labels)])
    assert max(map(len, text.splitlines())) <= 100
    assert "most neurons in" in text
    assert "\n... and 24 smaller clusters: " in text


def test_fifty_five_layers_are_told_by_how_many_and_which():
    graph, labels = planted([30] * 55, 10, density=0.5)
    text = table([result_of(graph, labels)])
    assert max(map(len, text.splitlines())) <= 100
    assert "of 55" in text
    assert "most neurons in" in text


def test_a_single_layer_needs_no_column():
    block = Block(0, 0, torch.ones(4, 4).triu(1))
    graph = NeuronGraph((Layer("nodes", 4),), (block,))
    text = table([result_of(graph, np.array([0, 0, 1, 1]))])
    assert text.startswith("mlp.pt: 4 neurons, 1 layer, 2 clusters")
    assert text.splitlines()[-3:] == [
        "cluster  neurons  volume    cut",
        "      0        2  50.0 %  0.667",
        "      1        2  50.0 %  0.667",
    ]


def test_several_networks_have_a_row_each():
    named = small_result(null=[0.5, 0.6], network="x" * 80, warnings=["is odd"])
    text = describe([named, small_result()])
    rows = text.splitlines()
    columns = ["network", "n-cut", "bound", "refined", "shuffles", "effect", "Z", "p"]
    assert rows[0].split() == [*columns, "effective", "clusters", "neurons"]
    assert len({len(row) for row in rows[:3]}) == 1
    assert "mlp.pt: Nothing is said about chance" in text
    assert f"warning: {'x' * 29}...{'x' * 28}: is odd" in text


def test_names_and_warnings_are_escaped():
    result = small_result(network="\x1b[2Jnet", warnings=["layer \x07 odd"])
    layers = tuple(replace(layer, name="\x1b]0;t\x07") for layer in result.layers)
    for results in ([replace(result, layers=layers)], [result, result]):
        text = describe(results)
        assert "\x1b" not in text
        assert "\x07" not in text
        assert text.isascii()
    assert describe([result]).endswith("\nwarning: layer \\x07 odd")


def test_results_of_different_conventions_say_so_side_by_side():
    plain, null = small_result(null=[0.5, 0.6]), small_result(null=[0.5, 0.6], n_init=5)
    published = small_result(null=[0.5, 0.6], conventions="published", ties="tied")
    assert "conventions" not in table([plain, plain])
    header, *rows = table([plain, published, null]).splitlines()
    assert header.endswith("  conventions")
    assert rows[0].endswith("  default")
    assert rows[1].endswith("  published, ties tied")
    assert rows[2].endswith("  default, n_init 5")
    assert "conventions" not in table([published])


def test_the_bound_is_named_for_what_it_bounds():
    offset = small_result(volume_offset=1e-8)
    assert "lower bound at offset 0" in table([offset])
    assert "  bound at offset 0  " in table([offset, small_result()])
    assert "offset" not in table([small_result(), small_result()])


def test_the_effect_stands_beside_z():
    said = sentence(small_result(null=np.linspace(0.0752, 0.0754, 50)))
    assert re.search(r"\(p = 0.02, Z = -\d.*, effect 0\.\d\d %\)", said)
    _, row = table([small_result(), small_result()]).splitlines()[:2]
    assert row.split()[4:8] == ["-", "-", "-", "-"]
