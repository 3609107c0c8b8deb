"""Operations that are refused by name, with the reason."""

from __future__ import annotations

from typing import NoReturn

from clusterability.tracing.operations.registry import RULES, Call, Chosen, rule


@rule(
    *("aten.scaled_dot_product_attention", "aten._native_multi_head_attention"),
    *("aten._scaled_dot_product_flash_attention_for_cpu", "aten._transformer_encoder_layer_fwd"),
    "aten.bilinear",
)
def attention(call: Call) -> NoReturn:
    raise call.refusal(
        "it multiplies tensors that depend on the input, as attention does, which this version "
        "does not measure"
    )


@rule("aten.dot")
def product_of_vectors(call: Call) -> NoReturn:
    raise call.refusal(
        "it multiplies vectors without a batch, which this version does not measure; write "
        "torch.matmul with one matrix if there is one"
    )


@rule("aten.lstm", "aten.gru", "aten.rnn_tanh", "aten.rnn_relu", "aten.lstm_cell", "aten.gru_cell")
def recurrence(call: Call) -> NoReturn:
    raise call.refusal(
        "recurrent networks have no feed-forward graph; measure the feed-forward part"
    )


@rule("aten.embedding", "aten.embedding_bag", "aten.one_hot")
def embedding(call: Call) -> NoReturn:
    raise call.refusal(
        "it looks up tokens, and language models are not measured by this version; pass the part "
        "that follows it"
    )


@rule(
    *("aten.item", "aten._local_scalar_dense", "aten.nonzero", "aten.masked_select"),
    *("aten._unique2", "aten.unique_dim", "aten.unique_consecutive"),
)
def data_dependent(call: Call) -> NoReturn:
    raise call.refusal("what it returns depends on the data; write the step without it")


@rule("aten.as_strided", "aten.as_strided_scatter")
def by_strides(call: Call) -> NoReturn:
    raise call.refusal("it takes elements by their places in memory; write view, permute or unfold")


def is_refused(operation: str) -> bool:
    """Whether an operation has no rule, or one that refuses it wherever it stands."""
    found = RULES.get(operation)
    return found is None or (found.__module__ == __name__ and found is not ordering)


@rule("aten.argmax", "aten.argmin", "aten.topk", "aten.sort", "aten.argsort")
def ordering(call: Call) -> Chosen:
    """Choose by the data: at the end of a network its outputs are those that are chosen among."""
    refusal = call.refusal(
        "which elements it takes depends on the data; leave it out of the forward pass"
    )
    return Chosen(tuple(call.values()), refusal)
