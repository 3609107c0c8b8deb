"""Operations that are refused by name: each as a function, or module, of (1, 4, 6)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

aten = torch.ops.aten
ones = torch.ones


def transformer_layer(stream: Tensor) -> Tensor:
    square, line = ones(6, 6), ones(6)
    attention = (ones(18, 6), ones(18), square, line)
    norms_and_dense = (line, line, line, line, square, line, square, line)
    return aten._transformer_encoder_layer_fwd(
        stream, 6, 2, *attention, False, False, 1e-5, *norms_and_dense
    )


def multi_head(stream: Tensor) -> Tensor:
    weights = (ones(18, 6), ones(18), ones(6, 6), ones(6))
    return aten._native_multi_head_attention(stream, stream, stream, 6, 2, *weights)[0]


def flash(stream: Tensor) -> Tensor:
    heads = stream.unsqueeze(0)
    return aten._scaled_dot_product_flash_attention_for_cpu(heads, heads, heads)[0]


REFUSALS: dict[str, nn.Module | Callable[[Tensor], Tensor]] = {
    "scaled_dot_product_attention": lambda x: functional.scaled_dot_product_attention(x, x, x),
    "_native_multi_head_attention": multi_head,
    "_scaled_dot_product_flash_attention_for_cpu": flash,
    "_transformer_encoder_layer_fwd": transformer_layer,
    "bilinear": lambda x: functional.bilinear(x, x, ones(2, 6, 6)),
    "dot": lambda x: torch.dot(x[0, 0], x[0, 1]),
    "lstm": nn.LSTM(6, 3),
    "gru": nn.GRU(6, 3),
    "rnn_tanh": nn.RNN(6, 3),
    "rnn_relu": nn.RNN(6, 3, nonlinearity="relu"),
    "lstm_cell": lambda x: torch.lstm_cell(x[0], [ones(4, 3)] * 2, ones(12, 6), ones(12, 3))[0],
    "gru_cell": lambda x: torch.gru_cell(x[0], ones(4, 3), ones(9, 6), ones(9, 3)),
    "embedding": lambda x: functional.embedding(x.long(), ones(2, 3)),
    "embedding_bag": lambda x: functional.embedding_bag(x[0].long(), ones(2, 3)),
    "one_hot": lambda x: functional.one_hot(x.long(), 3),
    "item": lambda x: x + x.sum().item(),
    "_local_scalar_dense": lambda x: x + aten._local_scalar_dense(x.sum()),
    "nonzero": torch.nonzero,
    "masked_select": lambda x: x.masked_select(x > 0),
    "_unique2": torch.unique,
    "unique_dim": lambda x: torch.unique(x, dim=1),
    "unique_consecutive": torch.unique_consecutive,
    "as_strided": lambda x: x.as_strided((1, 6), (6, 1)),
    "as_strided_scatter": lambda x: torch.as_strided_scatter(x, x[:, 0], (1, 6), (6, 1)),
    "argmax": lambda x: x + x.argmax(1, keepdim=True),
    "argmin": lambda x: x + x.argmin(1, keepdim=True),
    "topk": lambda x: x[:, :2] + x.topk(2, 1)[0],
    "sort": lambda x: x + x.sort(1)[0],
    "argsort": lambda x: x + x.argsort(1),
}
