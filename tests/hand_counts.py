"""Layers, neurons, blocks and strengths of networks, counted by hand from their structure.

An operation with n_in inputs in s segments, whose n_out outputs r other layers read, makes s layers
of n_in neurons together, s * r blocks and n_in * n_out * r strengths.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from clusterability.experiments.architectures import mobilenet, resnet, unet, vgg
from clusterability.experiments.architectures.widths import narrow


@dataclass(frozen=True)
class Operation:
    """A row of the count: ``part`` is ``input``, ``hidden`` or ``dense``."""

    n_in: int
    n_out: int
    segments: int = 1
    readers: int = 1
    part: str = "hidden"


def counts(operations: list[Operation], include: Collection[str] = ()) -> tuple[int, int, int, int]:
    """Layers, neurons, blocks, strengths; the last operation gives the output."""
    counted = [op for op in operations if op.part == "hidden" or op.part in include]
    # The first dense layer's input is a layer even where its weights are left out.
    head = [op for op in operations if op.part == "dense"][:1]
    layers = counted + [op for op in head if op not in counted]
    output = operations[-1].n_out if operations[-1] in counted else 0
    return (
        sum(op.segments for op in layers) + (output > 0),
        sum(op.n_in for op in layers) + output,
        sum(op.segments * op.readers for op in counted),
        sum(op.n_in * op.n_out * op.readers for op in counted),
    )


def vgg_operations(depth: int, divisor: int = 1, n_classes: int = 1000) -> list[Operation]:
    """A chain: every operation's output has one reader."""
    widths = [
        narrow(n, divisor)
        for n, repeats in zip(vgg.CHANNELS, vgg.CONVOLUTIONS[depth], strict=True)
        for _ in range(repeats)
    ]
    dense = narrow(4096, divisor)
    return [
        Operation(3, widths[0], part="input"),
        *(Operation(a, b) for a, b in zip(widths, widths[1:], strict=False)),
        Operation(widths[-1], dense, part="dense"),  # 7 x 7 pixels of a channel are one neuron
        Operation(dense, dense, part="dense"),
        Operation(dense, n_classes, part="dense"),
    ]


def resnet_operations(
    depth: int, divisor: int = 1, n_classes: int = 1000, always_projects: bool = False
) -> list[Operation]:
    """Residual stages.

    What joins the stream before block j of n is read by block j + 1, ..., n and by the e readers of
    the stage's exit: 2 (first convolution and projection of the next), or 1 (the dense layer). So a
    stage of blocks with c convolutions that begins with a projection has (c - 1) n blocks inside
    the residual blocks, sum_j (n - j + e) = n (n - 1) / 2 + n e from their ends, and n - 1 + e from
    the projection. Without one, what came in takes the projection's place, read once more, by the
    first block.
    """
    bottleneck = depth == 50
    n_in = narrow(64, divisor)
    n_first = resnet.BLOCKS[depth][0]
    projects = bottleneck or always_projects
    operations = [Operation(3, n_in, readers=2 if projects else n_first + 2, part="input")]
    for stage, n in enumerate(resnet.BLOCKS[depth]):
        inner = narrow(resnet.CHANNELS[stage], divisor)
        out = inner * (4 if bottleneck else 1)
        exits = 1 if stage == 3 else 2
        if stage or projects:
            operations.append(Operation(n_in, out, readers=n - 1 + exits))
        for j in range(1, n + 1):
            operations.append(Operation(n_in, inner))
            if bottleneck:
                operations.append(Operation(inner, inner))
            operations.append(Operation(inner, out, readers=n - j + exits))
            n_in = out
    return [*operations, Operation(n_in, n_classes, part="dense")]


def mobilenet_operations(divisor: int = 1, n_classes: int = 1000) -> list[Operation]:
    """Like a residual stage whose first block takes the projection's place; one reader at the exit.

    The last convolution of block j of n is read by the blocks after it and at the exit: n - j + 1.
    """
    n_in = narrow(mobilenet.STEM, divisor)
    operations = [Operation(3, n_in, part="input")]
    for expansion, n_full, n, _ in mobilenet.STAGES:
        n_out = narrow(n_full, divisor)
        for j in range(1, n + 1):
            inner = n_in * expansion
            if expansion > 1:
                operations.append(Operation(n_in, inner))
            operations.append(Operation(inner, inner))  # depthwise: off-diagonal zeros count
            operations.append(Operation(inner, n_out, readers=n - j + 1))
            n_in = n_out
    n_last = narrow(mobilenet.LAST, divisor)
    return [*operations, Operation(n_in, n_last), Operation(n_last, n_classes, part="dense")]


def densenet_operations(divisor: int = 1, n_classes: int = 1000) -> list[Operation]:
    """Layer j of n reads j segments: what came in and the outputs of the j - 1 before it."""
    growth, n_in = narrow(32, divisor), narrow(64, divisor)
    sizes = (6, 12, 24, 16)
    operations = [Operation(3, n_in, readers=sizes[0] + 1, part="input")]
    for i, n in enumerate(sizes):
        for j in range(1, n + 1):
            bottleneck = 4 * growth
            operations.append(Operation(n_in + (j - 1) * growth, bottleneck, segments=j))
            operations.append(Operation(bottleneck, growth, readers=n - j + 1))
        n_in += n * growth
        if i + 1 < len(sizes):
            after = sizes[i + 1] + 1
            operations.append(Operation(n_in, n_in // 2, segments=n + 1, readers=after))
            n_in //= 2
    return [*operations, Operation(n_in, n_classes, segments=sizes[-1] + 1, part="dense")]


def unet_operations(divisor: int = 1, n_in: int = 1, n_classes: int = 2) -> list[Operation]:
    """A level's second convolution is read one level down and, through the concatenation, here."""
    widths = [narrow(n, divisor) for n in unet.CHANNELS]
    operations = []
    for level, (below, width) in enumerate(zip([n_in, *widths], widths, strict=False)):
        operations.append(Operation(below, width, part="hidden" if level else "input"))
        operations.append(Operation(width, width, readers=1 if level == len(widths) - 1 else 2))
    for width, above in zip(widths[-2::-1], widths[:0:-1], strict=True):
        operations.append(Operation(above, width))
        operations += [Operation(2 * width, width, segments=2), Operation(width, width)]
    return [*operations, Operation(widths[0], n_classes)]


def inception_operations(divisor: int = 1, n_classes: int = 1000) -> list[Operation]:
    """Module by module.

    Modules 5b-d and 6b-e have 4 branches: 4 readers of what comes in, 4 segments of what goes out.
    The reductions 6a and 7a have 2 branches of convolutions, and a pool that hands on the 4
    segments of what comes in: 2 readers, 2 + 4 segments; and the module before them is read by the
    reduction's 2 and the next module's 4. Modules 7b-c have 4 readers and 6 segments.
    """
    w = {n: narrow(n, divisor) for n in (32, 48, 64, 80, 96, 128, 160, 192, 320, 384, 448)}
    operations = [
        Operation(3, w[32], part="input"),
        Operation(w[32], w[32]),
        Operation(w[32], w[64]),
        Operation(w[64], w[80]),
        Operation(w[80], w[192], readers=4),
    ]

    def branch(widths: list[int], segments: int, readers: int) -> list[Operation]:
        last = len(widths) - 2
        return [
            Operation(a, b, segments if i == 0 else 1, readers if i == last else 1)
            for i, (a, b) in enumerate(zip(widths, widths[1:], strict=False))
        ]

    n_in, segments = w[192], 1
    for pooled, readers in ((32, 4), (64, 4), (64, 6)):
        for widths in ([64], [48, 64], [64, 96, 96], [pooled]):
            operations += branch([n_in, *(w[n] for n in widths)], segments, readers)
        n_in, segments = w[64] + w[64] + w[96] + w[pooled], 4
    for widths in ([384], [64, 96, 96]):
        operations += branch([n_in, *(w[n] for n in widths)], segments, 4)
    n_in, segments = n_in + w[384] + w[96], 6
    for inner, readers in ((128, 4), (160, 4), (160, 4), (192, 6)):
        for widths in ([192], [inner, inner, 192], [inner] * 4 + [192], [192]):
            operations += branch([n_in, *(w[n] for n in widths)], segments, readers)
        n_in, segments = 4 * w[192], 4
    for widths in ([192, 320], [192, 192, 192, 192]):
        operations += branch([n_in, *(w[n] for n in widths)], segments, 4)
    n_in, segments = n_in + w[320] + w[192], 6
    for readers in (4, 1):
        operations += branch([n_in, w[320]], segments, readers)
        operations += branch([n_in, w[192]], segments, readers)
        # Two branches end in a pair of convolutions, which read the same tensor.
        operations += branch([n_in, w[384]], segments, 2)
        operations += branch([n_in, w[448], w[384]], segments, 2)
        operations += [Operation(w[384], w[384], readers=readers)] * 4
        n_in, segments = w[320] + 4 * w[384] + w[192], 6
    return [*operations, Operation(n_in, n_classes, segments=segments, part="dense")]
