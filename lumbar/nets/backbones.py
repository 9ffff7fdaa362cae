"""Image backbones from timm: found by name, with pretrained weights when they can be had.

Weights that cannot be reached are an error, at once and not after minutes of retries: who asked for them would
otherwise train for days from random ones. `pretrained='fallback'` makes it a warning.
"""

from __future__ import annotations

import urllib.error
import urllib.request
import warnings
from functools import cache
from typing import Any, Final, Literal

import timm
from huggingface_hub import constants as hub
from torch import nn

from lumbar.cli import UserError, nearest

HUB_TIMEOUT_S: Final = 5.0
"""How long the weights' host may take to answer at all before it counts as unreachable."""


def create_backbone(
    name: str, in_channels: int, pretrained: bool | Literal["fallback"], output_stride: int = 32
) -> nn.Module:
    """Build a convolutional backbone that maps (N, in_channels, H, W) to feature maps (N, num_features, h, w).

    Parameters
    ----------
    name : str
        A timm architecture, with or without a tag of pretrained weights (``efficientnetv2_rw_t.ra2_in1k``).
    in_channels : int
        Input channels; pretrained first layers are adapted to them.
    pretrained : bool or 'fallback'
        True: pretrained weights, or an error when they cannot be had. 'fallback': random ones and a warning then.
    output_stride : int
        Image pixels per pixel of the feature maps: 32, or 16 or 8 for finer maps (dilated last stages).

    Raises
    ------
    UserError
        If timm knows no such name, the network has no such stride, or the weights cannot be had.
    """
    tagged = "." in name
    if not (timm.is_model_pretrained(name) if tagged else timm.is_model(name)):
        near = nearest(name, timm.list_pretrained() if tagged else timm.list_models())
        raise UserError(f"backbone {name!r}: timm {timm.__version__} has no such model{near}", status=2)
    options: dict[str, Any] = {"in_chans": in_channels, "num_classes": 0, "global_pool": ""}
    if output_stride != 32:
        options["output_stride"] = output_stride
    if pretrained:
        offline = hub.HF_HUB_OFFLINE
        try:
            # An unreachable hub is not asked at all: its client would retry for a minute per file. What lies in the
            # client's cache is still found.
            hub.HF_HUB_OFFLINE = offline or not hub_reachable()
            return timm.create_model(name, pretrained=True, **options)
        except Exception as error:  # the download client raises anything from OSError to classes of its own
            reason = f"backbone {name!r}: its pretrained weights cannot be had ({str(error).splitlines()[0]})"
        finally:
            hub.HF_HUB_OFFLINE = offline
        if pretrained != "fallback":
            raise UserError(
                f"{reason}; connect once to fetch them, or start from random weights with --pretrained False "
                "(or fallback: only where they cannot be had)"
            )
        warnings.warn(f"{reason}; it starts from random weights", stacklevel=2)
    try:
        return timm.create_model(name, pretrained=False, **options)
    except (TypeError, ValueError, AssertionError, NotImplementedError) as error:
        raise UserError(
            f"backbone {name!r}: cannot be built with output_stride {output_stride} ({error})", 2
        ) from error


@cache
def hub_reachable() -> bool:
    """Say whether the host of pretrained weights answers within `HUB_TIMEOUT_S` (asked once per process)."""
    if hub.HF_HUB_OFFLINE:
        return False
    try:
        urllib.request.urlopen(urllib.request.Request(hub.ENDPOINT, method="HEAD"), timeout=HUB_TIMEOUT_S).close()
    except urllib.error.HTTPError:
        return True  # any answer is an answer
    except OSError:
        return False
    return True
