import tracemalloc

import networkx
import numpy as np
import pytest

from clusterability.errors import InputError
from clusterability.reading.graphs import read_graph
from graphs import AWKWARD

HEAD = """<?xml version='1.0' encoding='utf-8'?>
<graphml xmlns="http://graphml.graphdrafting.org/xmlns">
<key id="w" for="edge" attr.name="weight" attr.type="double"/>
<key id="l" for="node" attr.name="layer" attr.type="string"/>
<key id="c" for="node" attr.name="color" attr.type="string"/>
"""
NODES = '<node id="a"/><node id="b"/><node id="c"/>'
PATH = '<edge source="a" target="b"/><edge source="b" target="c"/>'


def document(body, head=HEAD, direction='edgedefault="undirected"'):
    return f"{head}<graph {direction}>{body}</graph></graphml>"


@pytest.fixture
def read(tmp_path):
    def read_text(text):
        path = tmp_path / "graph.graphml"
        path.write_text(text)
        return read_graph(path)

    return read_text


@pytest.mark.slow
@pytest.mark.parametrize("name", AWKWARD)
def test_what_networkx_writes_comes_back(name, tmp_path):
    graph = AWKWARD[name]
    networkx.write_graphml(graph.to_networkx(), tmp_path / "a.graphml")
    again = read_graph(tmp_path / "a.graphml")
    assert again.layers == graph.layers
    assert (again.to_scipy() != graph.to_scipy()).nnz == 0


@pytest.mark.parametrize("numbered", [False, True])
def test_equals_the_reader_of_networkx(tmp_path, numbered):
    rng = np.random.default_rng(0)
    drawn = networkx.MultiGraph(networkx.gnp_random_graph(20, 0.3, seed=1))
    drawn.add_edges_from(list(drawn.edges)[:7])
    for *_, data in drawn.edges(data=True):
        if rng.random() < 0.5:
            data["weight"] = rng.random()
    if numbered:
        networkx.set_node_attributes(drawn, {node: node % 3 for node in drawn}, "layer")
    networkx.write_graphml(drawn, tmp_path / "a.graphml")
    other = networkx.read_graphml(tmp_path / "a.graphml", force_multigraph=True)
    graph = read_graph(tmp_path / "a.graphml")
    order = sorted(drawn, key=lambda node: node % 3) if numbered else list(drawn)
    expected = networkx.to_numpy_array(other, nodelist=[str(node) for node in order])
    np.testing.assert_allclose(graph.to_scipy().toarray(), expected)
    assert [layer.name for layer in graph.layers] == (["0", "1", "2"] if numbered else ["nodes"])


def test_weights_default_to_one_and_edges_may_come_before_their_nodes(read):
    assert read(document(PATH + NODES)).degrees().tolist() == [1, 2, 1]
    parallel = document(NODES + PATH + '<edge source="b" target="a"/>')
    assert read(parallel).degrees().tolist() == [2, 3, 1]


def test_declared_defaults_are_taken(read):
    head = HEAD.replace('attr.type="double"/>', 'attr.type="double"><default>2.5</default></key>')
    heavy = '<edge source="a" target="b"><data key="w"> 4 </data></edge>'
    graph = read(document(NODES + heavy + '<edge source="b" target="c"/>', head))
    assert graph.degrees().tolist() == [4, 6.5, 2.5]


def test_all_else_is_passed_over(read):
    node = (
        '<node id="a"><data key="c">red<x><y/></x></data><data key="?">1</data><port name="p"/>'
        "<desc>words</desc></node>"
    )
    head = HEAD + '<key id="n" for="graph" attr.name="weight"><default>9</default></key>'
    body = f'<data key="n">7</data>{node}<node id="b"/><edge source="a" target="b"/>'
    assert read(document(body, head)).degrees().tolist() == [1, 1]


def test_no_namespace_is_needed(read):
    assert read(f'<graphml><graph edgedefault="undirected">{NODES}{PATH}</graph></graphml>')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (document(NODES + PATH, direction='edgedefault="directed"'), "graph is directed.*to_undir"),
        (document(NODES + '<edge source="a" target="b" directed="true"/>'), "is directed"),
        (document(NODES + PATH, direction=""), "edgedefault is '', expected 'undirected'"),
        (document(NODES + '<edge source="a" target="z"/>'), "names the node 'z', which is not"),
        (document(NODES + '<node id="a"/>'), "two nodes have the id 'a'"),
        (document(NODES + "<node/>"), "has no 'id'"),
        (document(NODES + '<edge source="a"/>'), "has no 'target'"),
        (
            document(NODES + '<edge source="a" target="b"><data key="w">two</data></edge>'),
            "weight 'two' is no number",
        ),
        (
            document(NODES + '<edge source="a" target="b"><data key="w">-2</data></edge>'),
            "edge between 'a' and 'b' has the weight -2, which is negative",
        ),
        (document('<node id="q"><data key="l">x</data></node>' + NODES), "'a' has no layer"),
        (document(NODES + '<edge source="a" target="a"/>'), "'a' is joined to itself"),
        (document(NODES), "no edges"),
        (document(""), "no nodes"),
        (document(NODES + "</graph><graph edgedefault='undirected'>"), "several or nested"),
        (document('<node id="a"><graph edgedefault="undirected"/></node>'), "several or nested"),
        (document("<hyperedge/>"), "hyperedges"),
        (HEAD + "</graphml>", "holds no graph"),
        ("<?xml version='1.0'?><html/>", "begins with 'html', expected graphml"),
        ("<graphml>" + "<a>" * 200, "more than 100 deep"),
        (document(NODES + PATH)[:-12], "truncated, corrupt"),
        ("\x00\x01\x02", "truncated, corrupt"),
        ("<!doctype html><html></html>", "is a web page"),
    ],
)
def test_other_files_are_refused(read, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read(text)
    assert "\n" not in str(caught.value)


def test_numbered_layers_must_be_numbers(read):
    head = HEAD.replace('attr.name="layer" attr.type="string"', 'attr.name="layer" attr.type="int"')
    with pytest.raises(InputError, match="layer 'x' is no number"):
        read(document('<node id="q"><data key="l">x</data></node>', head))


def test_entities_are_never_expanded(read):
    entities = '<!ENTITY a0 "lol">' + "".join(
        f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10)
    )
    text = f"<!DOCTYPE graphml [{entities}]>{document('', '<graphml>').replace('?', '')}"
    tracemalloc.start()
    with pytest.raises(InputError, match="document type declaration"):
        read(text.replace("<graph ", '<graph id="&a9;" '))
    assert tracemalloc.get_traced_memory()[1] < 10**7
    tracemalloc.stop()
    outside = '<!DOCTYPE graphml SYSTEM "file:///etc/hostname">' + document("", "<graphml>")
    with pytest.raises(InputError, match="document type declaration"):
        read(outside)
