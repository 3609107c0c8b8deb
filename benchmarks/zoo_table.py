"""The zoo as a page of the documentation."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

HEAD = """\
# The zoo

<!-- Written by benchmarks/zoo.py. -->

Models of torchvision, timm and transformers, with random weights, and whether their graphs can be
read. Attention is refused: what it joins depends on the data. Seconds are those of one thread: of
`torch.export` as this package calls it, of all else that it does, and of one forward pass; then the
ratio of the last two. The last column, measured for some, is how many forward passes all of it
takes longer than a user's own call of `torch.export`, which takes longer than this package's; where
it is negative, the graph of neurons is there before a plain export is.

```console
python -m venv zoo
zoo/bin/pip install -r benchmarks/zoo-requirements.txt -e . scikit-learn
zoo/bin/python benchmarks/zoo.py
```
"""


def table(report: dict[str, Any]) -> str:
    """Return the page in Markdown."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for model in report["models"].values():
        groups[f"{model['library']}, {model['kind']}"].append(model)
    order = ["torchvision", "timm", "transformers"]
    names = sorted(groups, key=lambda name: (order.index(name.partition(",")[0]), name))
    parts = [HEAD, versions(report), summary({name: groups[name] for name in names})]
    for name in names:
        parts += [f"## {name}\n", *section(groups[name])]
    return "\n".join(parts)


def versions(report: dict[str, Any]) -> str:
    packages = report["environment"]["packages"]
    named = ("torch", "torchvision", "timm", "transformers")
    return f"Versions: {', '.join(f'{name} {packages[name]}' for name in named)}.\n"


def summary(groups: dict[str, list[dict[str, Any]]]) -> str:
    rows = ["| models | read | refused for attention | for another reason |", "|---|---|---|---|"]
    for name, models in groups.items():
        others = [model for model in models if model["state"] != "ok"]
        attention = sum(is_attention(model) for model in others)
        counts = (len(models) - len(others), attention, len(others) - attention)
        rows.append(f"| {name} ({len(models)}) | {' | '.join(map(str, counts))} |")
    return "\n".join(rows) + "\n"


def is_attention(model: dict[str, Any]) -> bool:
    return model["state"] == "refused" and "attention" in model["reason"]


def section(models: list[dict[str, Any]]) -> list[str]:
    read = [model for model in models if model["state"] == "ok"]
    others = [model for model in models if model["state"] != "ok"]
    parts = []
    if read:
        rows = [
            "| model | neurons | blocks | export | tracing | forward | tracing / forward | "
            "beyond plain export |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for model in read:
            seconds = " | ".join(
                f"{model['seconds'][step]:.2f}" for step in ("export", "tracing", "forward")
            )
            rows.append(
                f"| {model['name']} | {model['neurons']:,} | {model['blocks']:,} | {seconds} | "
                f"{model['forward_passes']:.1f} | {model.get('beyond_plain', '')} |"
            )
        parts.append("\n".join(rows) + "\n")
    if others:
        rows = ["| not read | reason |", "|---|---|"]
        rows += [f"| {model['name']} | {cell(reason(model))} |" for model in others]
        parts.append("\n".join(rows) + "\n")
    return parts


def reason(model: dict[str, Any]) -> str:
    said: str = model["reason"]
    return said if model["state"] == "refused" else f"{model['state']}: {said}"


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
