"""Linear layers written as a product with their weight, element by element, and a sum."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from operation_table.weighing import dense, out_in

PRODUCTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "sum of rows": lambda x, w: (x.unsqueeze(1) * w).sum(-1),
    "sum of rows, weight first": lambda x, w: (w[None] * x[:, None, :]).sum(2),
    "sum of columns": lambda x, w: (x.unsqueeze(-1) * w.T).sum(1),
    "sum with a kept axis": lambda x, w: (x.unsqueeze(-1) * w.T).sum(1, keepdim=True).squeeze(1),
    "mean of rows": lambda x, w: (x.unsqueeze(1) * w).mean(-1),
}

SUMS_OF_PRODUCTS = {name: dense(function, out_in) for name, function in PRODUCTS.items()}
