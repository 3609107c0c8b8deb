"""The models of the zoo: how each is built, with random weights, and what it takes."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

Built = tuple[nn.Module, tuple[Tensor, ...]]


@dataclass(frozen=True)
class Specimen:
    """A model of the zoo.

    Attributes:
        library: that has it.
        kind: its place in the table.
        name: in its library.
        build: returns the model and example inputs of its own size.
    """

    library: str
    kind: str
    name: str
    build: Callable[[], Built]

    @property
    def key(self) -> str:
        return f"{self.library}/{self.name}"


TIMM = [
    "convnext_atto",
    "convnextv2_atto",
    "convmixer_768_32",
    "convformer_s18",
    "cs3darknet_s",
    "cspresnet50",
    "cspresnext50",
    "darknet53",
    "densenet121",
    "densenetblur121d",
    "dla34",
    "dla46x_c",
    "dm_nfnet_f0",
    "dpn68",
    "ecaresnet26t",
    "efficientnet_b0",
    "efficientnet_lite0",
    "ese_vovnet19b_slim",
    "fasternet_t0",
    "fastvit_t8",
    "fbnetc_100",
    "focalnet_tiny_srf",
    "gcresnext26ts",
    "gernet_s",
    "ghostnet_050",
    "ghostnetv2_100",
    "hardcorenas_a",
    "hgnet_tiny",
    "hgnetv2_b0",
    "hrnet_w18_small",
    "inception_next_atto",
    "inception_resnet_v2",
    "inception_v3",
    "inception_v4",
    "lcnet_035",
    "legacy_seresnext26_32x4d",
    "legacy_xception",
    "mambaout_femto",
    "mixnet_s",
    "mnasnet_small",
    "mobilenetv2_050",
    "mobilenetv3_small_050",
    "mobilenetv4_conv_small",
    "mobileone_s0",
    "nasnetalarge",
    "nf_regnet_b0",
    "nf_resnet26",
    "pnasnet5large",
    "poolformer_s12",
    "rdnet_tiny",
    "regnetv_040",
    "regnetx_002",
    "regnety_002",
    "regnetz_005",
    "repghostnet_050",
    "repvgg_a0",
    "repvit_m0_9",
    "res2net50_14w_8s",
    "res2next50",
    "resnest14d",
    "resnet10t",
    "resnetblur50",
    "resnetv2_50",
    "resnext26ts",
    "rexnet_100",
    "selecsls42",
    "semnasnet_075",
    "seresnet18",
    "skresnet18",
    "spnasnet_100",
    "starnet_s1",
    "tinynet_e",
    "tresnet_m",
    "vgg11",
    "vovnet39a",
    "xception41",
    "xception65p",
]
"""One or two small models of each convolutional family of timm."""

TRANSFORMERS: dict[str, tuple[str, dict[str, Any]]] = {
    "bit": ("BitForImageClassification", {"depths": [1, 1, 1, 1]}),
    "convnext": ("ConvNextForImageClassification", {"depths": [1, 1, 2, 1]}),
    "convnextv2": ("ConvNextV2ForImageClassification", {"depths": [1, 1, 2, 1]}),
    "efficientnet": (
        "EfficientNetForImageClassification",
        {"width_coefficient": 0.5, "depth_coefficient": 0.5, "hidden_dim": 640},
    ),
    "focalnet": ("FocalNetForImageClassification", {"depths": [1, 1, 1, 1], "embed_dim": 32}),
    "mobilenet_v1": ("MobileNetV1ForImageClassification", {"depth_multiplier": 0.5}),
    "mobilenet_v2": ("MobileNetV2ForImageClassification", {"depth_multiplier": 0.5}),
    "poolformer": ("PoolFormerForImageClassification", {"depths": [1, 1, 1, 1]}),
    "regnet": ("RegNetForImageClassification", {"depths": [1, 1, 2, 1]}),
    "resnet": ("ResNetForImageClassification", {"depths": [1, 1, 2, 1]}),
    "segformer": ("SegformerForImageClassification", {}),
}
"""Class and what differs from its default configuration, by the name of the configuration."""


def specimens() -> Iterator[Specimen]:
    """Return all models of the libraries that are installed."""
    for library, find in (
        ("torchvision", _of_torchvision),
        ("timm", _of_timm),
        ("transformers", _of_transformers),
    ):
        try:
            importlib.import_module(library)
        except ImportError:
            print(f"{library} is not installed: left out")
        else:
            yield from find()


def _of_torchvision() -> Iterator[Specimen]:
    from torchvision import models

    for module, kind in (
        (models, "classifier"),
        (models.segmentation, "segmentation"),
        (models.video, "video"),
    ):
        for name in models.list_models(module=module):
            yield Specimen("torchvision", kind, name, partial(_torchvision, name, kind))


def _torchvision(name: str, kind: str) -> Built:
    from torchvision import models

    options: dict[str, Any] = {"weights": None}
    if kind == "segmentation":
        options["weights_backbone"] = None
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False  # takes a minute
    if kind == "video":
        side = 224 if name.startswith(("mvit", "s3d")) else 112
        shape: tuple[int, ...] = (3, 16, side, side)
    else:
        side = {"inception_v3": 299}.get(name, 224)
        shape = (3, side, side)
    return models.get_model(name, **options).eval(), (torch.randn(1, *shape),)


def _of_timm() -> Iterator[Specimen]:
    for name in TIMM:
        yield Specimen("timm", "convolutional", name, partial(_timm, name))


def _timm(name: str) -> Built:
    import timm

    model = timm.create_model(name, pretrained=False).eval()
    return model, (torch.randn(1, *model.default_cfg["input_size"]),)


def _of_transformers() -> Iterator[Specimen]:
    for name in TRANSFORMERS:
        yield Specimen("transformers", "convolutional", name, partial(_transformers, name))


def _transformers(name: str) -> Built:
    import transformers

    kind, options = TRANSFORMERS[name]
    config = transformers.AutoConfig.for_model(name, **options)
    return getattr(transformers, kind)(config).eval(), (torch.randn(1, 3, 224, 224),)
