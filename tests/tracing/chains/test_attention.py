import pytest
import torch
from torch import nn

from clusterability.errors import InputError
from clusterability.sources import trace
from clusterability.tracing.chains.attention import check_feed_forward

ATTENTION = {
    "bert": ["attention.self.query.weight", "attention.self.key.weight"],
    "llama": ["layers.0.self_attn.q_proj.weight", "layers.0.self_attn.k_proj.weight"],
    "vit": ["blocks.0.attn.qkv.weight"],
    "torch": ["layers.0.self_attn.in_proj_weight"],
    "gpt2": ["h.0.attn.c_attn.weight"],
    "diffusers": ["attn1.to_q.weight", "attn1.to_k.weight"],
    "distilbert": ["attention.q_lin.weight", "attention.k_lin.weight"],
    "keras": ["mha/query/kernel", "mha/key/kernel"],
    "tensorflow": ["mha/query/kernel:0", "mha/key/kernel:0"],
    "t5": ["SelfAttention.q.weight", "SelfAttention.k.weight"],
    "torch, keys of another size": ["attn.q_proj_weight", "attn.k_proj_weight"],
    "falcon": ["attention.query_dense.weight", "attention.key_dense.weight"],
    "plural": ["attention.queries.weight", "attention.keys.weight"],
    "annotated transformer": ["slf_attn.w_qs.weight", "slf_attn.w_ks.weight"],
    "flax": ["attention.query.kernel", "attention.key.kernel"],
}


@pytest.mark.parametrize("names", ATTENTION.values(), ids=ATTENTION)
def test_attention_is_known_by_its_names(names):
    with pytest.raises(InputError, match="of attention, by which this version does not measure"):
        check_feed_forward(["fc.weight", *names])


@pytest.mark.parametrize(
    "names",
    [
        ["fc1.weight", "fc2.weight"],
        ["attention.fc1.weight", "attention.fc2.weight"],
        ["a.q.weight", "b.k.weight"],
        ["query.weight", "head.weight"],
        ["w", "v"],
        ["squeeze.weight", "key.weight"],
        ["tasks.weight", "query.weight"],
        ["q.weight", "q_net.weight"],  # of a critic
        ["fc_k.weight", "k_layer.weight", "keys.weight"],
        ["weight_ih", "weight_hidden"],
    ],
)
def test_other_names_are_let_pass(names):
    check_feed_forward(names)


def test_an_encoder_whose_shapes_chain_is_refused_unless_weights_are_named():
    layer = nn.TransformerEncoderLayer(8, 2, 8)
    state = {name: tensor for name, tensor in layer.state_dict().items() if "norm" not in name}
    square = {"q.weight": torch.ones(8, 8), "k.weight": torch.ones(8, 8)}
    for network in (state, square):
        with pytest.raises(InputError, match="of attention"):
            trace(network)
    found = trace(state, order=["linear1", "linear2"])
    assert found.graph.layer_sizes == [8, 8, 8]


@pytest.mark.parametrize("cell", [nn.RNN(8, 8), nn.RNNCell(8, 8), nn.RNN(8, 8, bidirectional=True)])
def test_recurrence_whose_shapes_chain_is_refused(cell):
    with pytest.raises(InputError, match=r"'0\.weight_hh.*' is a weight of recurrence, by which"):
        trace(nn.Sequential(cell, nn.Linear(8, 4)).state_dict())


@pytest.mark.parametrize("end", ["", ":0"])
def test_a_recurrent_kernel_of_keras_is_refused(end):
    with pytest.raises(InputError, match="of recurrence"):
        check_feed_forward([f"rnn/cell/kernel{end}", f"rnn/cell/recurrent_kernel{end}"])
