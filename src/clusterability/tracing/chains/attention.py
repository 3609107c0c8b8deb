"""Attention and recurrence recognized by the names of their weights, which are no chain."""

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

_AFTER = r"(?:_proj|_linear|_layer|_dense|_net|_weight)*"

_QUERY = re.compile(rf"(?:.*_)?(?:query|queries|q_lin|wq|qs?){_AFTER}", re.IGNORECASE)

_KEY = re.compile(rf"(?:.*_)?(?:key|keys|k_lin|wk|ks?){_AFTER}", re.IGNORECASE)

_RECURRENT = re.compile(r"weight_hh(?:_l\d+(?:_reverse)?)?|recurrent_kernel", re.IGNORECASE)
"""Names of weights by which a layer reads its own output."""


def check_feed_forward(names: Sequence[str]) -> None:
    """Refuse weights among which are queries and keys of attention, or those of recurrence.

    Args:
        names: of the weights.

    Raises:
        InputError: if a weight's name is one of attention or recurrence alone, or a query has a
            key beside it.
    """
    queries: dict[str, str] = {}
    keys: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"(\.(weight|kernel))?(:\d+)?$", "", name.replace("/", "."))
        parent, last = split_name(plain)
        if _WHOLE.fullmatch(last):
            raise _refusal([name], "attention")
        if _RECURRENT.fullmatch(last):
            raise _refusal([name], "recurrence")
        for kind, found in ((_QUERY, queries), (_KEY, keys)):
            if kind.fullmatch(last):
                found.setdefault(parent, name)
    for parent, query in queries.items():
        if parent in keys:
            raise _refusal([query, keys[parent]], "attention")


def _refusal(names: Sequence[str], kind: str) -> InputError:
    verb = "is a weight" if len(names) == 1 else "are weights"
    return InputError(
        f"{' and '.join(map(quoted, names))} {verb} of {kind}, by which this version does not "
        "measure a network, and which forms no chain; pass a part of the network without it, or "
        'name the weights that form a chain (order=["fc1", "fc2"] in Python, --order fc1,fc2 on '
        "the command line)"
    )
