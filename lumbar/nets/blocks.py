"""Building blocks of the networks: grey values to feature vectors, slice sequences through LSTMs.

The networks in ``models/`` differ in what they read and predict, not in how: each encodes slices with one shared
backbone (`BackboneNet`, `SequenceNet`), and those that read sequences pass them through packed LSTMs, which never see
padding, so that an output does not depend on what else is in the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Final

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence, pad_packed_sequence

from lumbar.cli import UserError, nearest
from lumbar.config import Config
from lumbar.nets.backbones import create_backbone

Batch = Mapping[str, Tensor]
"""What a dataset's collate function makes."""


class Average(nn.Module):
    """Average pooling; the base of the others."""

    numbers: ClassVar[int] = 1
    """How many numbers of the vector come from one map."""

    def __init__(self, cfg: Config, maps: int) -> None:
        super().__init__()

    def forward(self, maps: Tensor) -> Tensor:
        """Feature maps (N, F, h, w) to vectors (N, numbers F)."""
        return maps.mean((2, 3))


class GeneralisedMean(Average):
    """Generalised-mean pooling: (mean of x^p)^(1/p), between average (p = 1) and maximum pooling (p large).

    The power starts at 3 (Radenovic et al., "Fine-tuning CNN image retrieval with no human annotation", 2018), and is
    learned where `cfg.gem_p_trainable` says so.
    """

    def __init__(self, cfg: Config, maps: int) -> None:
        super().__init__(cfg, maps)
        self.p = nn.Parameter(torch.tensor([3.0]), requires_grad=cfg.gem_p_trainable)

    def forward(self, maps: Tensor) -> Tensor:
        """Feature maps (N, F, h, w) to vectors (N, F)."""
        return maps.float().clamp(min=1e-6).pow(self.p).mean((2, 3)).pow(1 / self.p)


class SoftArgmax(Average):
    """Average pooling, and where each feature is: its expected x and y under a softmax over the map.

    A linear head on places instead of mean activations learns coordinates from few images (spatial soft-argmax of
    Levine et al., "End-to-end training of deep visuomotor policies", 2016).
    """

    numbers = 3

    def forward(self, maps: Tensor) -> Tensor:
        """Feature maps (N, F, h, w) to vectors (N, 3 F): means, then x, then y, each place in -1..1."""
        shares = maps.float().flatten(2).softmax(-1).unflatten(2, maps.shape[2:])  # (N, F, h, w)
        y, x = (torch.linspace(-1, 1, size, device=maps.device) for size in maps.shape[2:])
        return torch.cat([maps.float().mean((2, 3)), shares.sum(2) @ x, shares.sum(3) @ y], 1)


WIDTH: Final = 0.3
"""Standard deviation of a Gaussian window at the start, in halves of the image's side."""


class GaussianWindow(Average):
    """Average pooling of each feature under a window of its own, which starts at the middle of the image.

    Level crops show what is to be graded near their middle and the neighbouring levels around it; a small network
    that averages everything does not learn from few images which of them is meant. Place and width are learned
    (the readout of Lurz et al., "Generalization in data-driven models of primary visual cortex", 2021).
    """

    def __init__(self, cfg: Config, maps: int) -> None:
        super().__init__(cfg, maps)
        self.centre = nn.Parameter(torch.zeros(2, maps))  # y and x; the image reaches from -1 to 1
        self.log_width = nn.Parameter(torch.zeros(2, maps))  # of WIDTH: weight decay pulls to it, and to the middle

    def forward(self, maps: Tensor) -> Tensor:
        """Feature maps (N, F, h, w) to vectors (N, F)."""
        along_y, along_x = (self._window(axis, size) for axis, size in enumerate(maps.shape[2:]))
        return torch.einsum("nfyx,fy,fx->nf", maps.float(), along_y, along_x)

    def _window(self, axis: int, size: int) -> Tensor:
        """Weights (F, size) of the rows or columns; those of a feature add up to 1."""
        place = (2 * torch.arange(size, device=self.centre.device) + 1) / size - 1
        distance = (place - self.centre[axis, :, None]) / (WIDTH * self.log_width[axis, :, None].exp())
        return (-distance.square() / 2).softmax(1)


NORMALIZATIONS: Final[dict[str, Callable[[Tensor], Tensor]]] = {"simple": lambda images: images / 255}
"""`cfg.image_normalization`: grey values 0..255 to network input."""

POOLS: Final[dict[str, type[Average]]] = {
    "avg": Average,
    "gem": GeneralisedMean,
    "softargmax": SoftArgmax,
    "window": GaussianWindow,
}
"""`cfg.pool`: feature maps to feature vectors, made of the config and the number of maps."""


def choose(key: str, name: str, known: Mapping[str, Any]) -> Any:
    """Look up the value of a config key.

    Raises
    ------
    UserError
        If `name` is not one of `known`; names the nearest that is.
    """
    if name not in known:
        raise UserError(f"{key} {name!r}: must be one of {', '.join(known)}{nearest(str(name), list(known))}", status=2)
    return known[name]


class BackboneNet(nn.Module):
    """A backbone over single images: the base of every network.

    Parameters
    ----------
    cfg : config
        Reads `backbone`, `pretrained`, `output_stride`, `in_channels`, `pool`, `gem_p_trainable`,
        `image_normalization`, `channels_last`.
    """

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.normalise = choose("image_normalization", cfg.image_normalization, NORMALIZATIONS)
        self.backbone = create_backbone(cfg.backbone, cfg.in_channels, cfg.pretrained, cfg.output_stride)
        self.maps = int(self.backbone.num_features)  # type: ignore[arg-type]
        self.pool = choose("pool", cfg.pool, POOLS)(cfg, self.maps)
        self.features = self.maps * self.pool.numbers
        self.memory_format = torch.channels_last if cfg.channels_last else torch.contiguous_format
        self.backbone.to(memory_format=self.memory_format)

    def encode(self, images: Tensor) -> Tensor:
        """Grey values (N, C, H, W), 0 to 255 in any type, to feature vectors (N, features)."""
        maps = self.backbone(self.normalise(images.float()).contiguous(memory_format=self.memory_format))
        if maps.ndim != 4 or maps.shape[1] != self.maps:
            raise UserError(
                f"backbone {type(self.backbone).__name__} gives no feature maps (N, {self.maps}, h, w) but "
                f"{tuple(maps.shape)}; choose a convolutional one"
            )
        return self.pool(maps)


class SequenceNet(BackboneNet):
    """A backbone over the slices of sequences. Padded slices never go through it."""

    def encode_slices(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Encode the real slices of a batch.

        Parameters
        ----------
        batch : mapping
            `input` (B, S, 1, H, W) and `mask` (B, S), 1 on real slices; every row has at least one.

        Returns
        -------
        features : Tensor, shape (T, features)
            All real slices, row after row.
        rows : Tensor, shape (T,)
            Row of the batch that each is of.
        """
        real = batch["mask"].bool()
        return self.encode(batch["input"][real]), real.nonzero()[:, 0]


def bidirectional_lstm(inputs: int, hidden: int) -> nn.LSTM:
    """Make a one-layer LSTM that reads a sequence both ways: (S, inputs) to (S, 2 hidden)."""
    return nn.LSTM(inputs, hidden, batch_first=True, bidirectional=True)


def pack(sequences: Sequence[Tensor]) -> PackedSequence:
    """Pack sequences (S_i, F) of any lengths for an LSTM, so that it never reads padding."""
    return pack_sequence(list(sequences), enforce_sorted=False)


def mean_over_slices(packed: PackedSequence) -> Tensor:
    """Average an LSTM's packed output over the slices of each sequence: (rows, F)."""
    padded, lengths = pad_packed_sequence(packed, batch_first=True)  # zeros behind the end
    return padded.sum(1) / lengths.to(padded.device)[:, None]


def localiser_output(batch: Batch, logits: Tensor) -> dict[str, Tensor]:
    """Collect what a localiser returns in eval mode: predictions, what they belong to, and the truth where known."""
    kept = {key: batch[key] for key in ("target", "target_mask") if key in batch}
    return {"series_id": batch["series_id"], "instance_number": batch["instance_numbers"], **kept, "logits": logits}
