"""Attention recognized by the names of its weights, which are no chain whatever their shapes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from clusterability.errors import InputError
from clusterability.shown import quoted
from clusterability.tracing.naming import split_name

_WHOLE = re.compile(
    r"(in_proj_weight|qkv|to_qkv|to_kv|kv|qkv_proj|c_attn|wqkv|in_proj_qkv|query_key_value|attn_qkv)",
    re.IGNORECASE,
)
"""Names of weights that hold queries, keys and values at once."""

_PART = re.compile(
    r"(?:.*_)?(?:query|q_proj|q_lin|to_q|wq|q)(?:_proj|_linear|_layer)?"
    r"|(?:.*_)?(?:key|k_proj|k_lin|to_k|wk|k)(?:_proj|_linear|_layer)?",
    re.IGNORECASE,
)


def check_no_attention(names: Sequence[str]) -> None:
    """Refuse weights among which are queries and keys of attention.

    Args:
        names: of the weights.

    Raises:
        InputError: if a weight's name is one of attention alone, or a query has a key beside it.
    """
    beside: dict[str, list[str]] = {}
    for name in names:
        parent, last = split_name(re.sub(r"\.(?:weight|kernel)$", "", name.replace("/", ".")))
        if _WHOLE.fullmatch(last):
            raise _refusal([name])
        if _PART.fullmatch(last):
            beside.setdefault(parent, []).append(name)
    for found in beside.values():
        if len(found) > 1:
            raise _refusal(found[:2])


def _refusal(names: Sequence[str]) -> InputError:
    return InputError(
        f"{' and '.join(map(quoted, names))} are weights of attention, by which this version does "
        "not measure a network, and which form no chain; pass a part of the network without it, or "
        'name the weights that form a chain (order=["fc1", "fc2"] in Python, --order fc1,fc2 on '
        "the command line)"
    )
