"""The classifiers' common part: one bidirectional LSTM and one head of three grades per condition and side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from lumbar.anatomy import GRADES, LEVELS, MISSING, NFN, PARTS, SCS, SS
from lumbar.config import Config
from lumbar.nets.blocks import Batch, SequenceNet, bidirectional_lstm, choose, mean_over_slices, pack
from lumbar.nets.losses import GradeLoss, Loss, mean_of_defined

READERS: Final[dict[str, dict[str, str]]] = {
    SS: {"l_ss": "loss_l_ss", "r_ss": "loss_r_ss"},
    NFN: {"l_sag_t1": "loss_t1_l", "r_sag_t1": "loss_t1_r"},
    SCS: {"sag_t2": "loss_t2"},
}
"""Per condition group and side (left, right): suffix of its ``rnn_`` and ``head_``, and the name of its loss."""

EMBEDDING: Final = 32
"""Numbers that stand for a level or a position (published model)."""

Graded = Mapping[str, tuple[Tensor, Tensor]]
"""Per condition group: logits (rows, 2, 3) and target (rows, 2 or 1)."""


class GradingNet(SequenceNet):
    """Slices of one level -> backbone -> level embedding appended -> an LSTM per condition and side -> grades.

    Parameters
    ----------
    cfg : config
        Reads `hidden_dim` and what `lumbar.nets.blocks.BackboneNet` reads.
    parts : sequence of str
        Condition groups to grade, of ``nfn scs ss``.
    built : sequence of str, optional
        Condition groups that the network has LSTMs and heads for, if more than it grades.
    extra_features : int
        Further numbers that the network appends to each slice.
    """

    def __init__(
        self, cfg: Config, parts: Sequence[str], built: Sequence[str] | None = None, extra_features: int = 0
    ) -> None:
        super().__init__(cfg)
        for part in parts:
            choose("parts", part, READERS)
        self.parts = [part for part in READERS if part in parts]
        self.level_emb = nn.Embedding(len(LEVELS), EMBEDDING)
        for reader in (reader for part in READERS if part in (built or parts) for reader in READERS[part]):
            inputs = self.features + EMBEDDING + extra_features
            self.add_module(f"rnn_{reader}", bidirectional_lstm(inputs, cfg.hidden_dim))
            self.add_module(f"head_{reader}", nn.Linear(2 * cfg.hidden_dim, len(GRADES)))
        self.loss_fn = GradeLoss()

    def sequences(self, batch: Batch) -> list[Tensor]:
        """Encode each row's real slices and append the embedding of its level: B tensors (S_i, features)."""
        features, lengths = self.encode_slices(batch)
        rows = torch.repeat_interleave(torch.tensor(lengths, device=features.device))
        level = self.level_emb(batch["level_num"])[rows]
        return list(torch.cat([features, level, *self.slice_features(batch)], 1).split(lengths))

    def slice_features(self, batch: Batch) -> list[Tensor]:
        """Give the further numbers of each real slice, tensors (T, n): none here."""
        return []

    def grade(self, part: str, sequences: Sequence[Tensor]) -> Tensor:
        """Grade one condition group: logits (rows, 2, 3), left and right; a group without sides repeats its own."""
        packed = pack(sequences) if sequences else None
        sides = []
        for reader in READERS[part]:
            head = self.get_submodule(f"head_{reader}")
            if packed is None:
                pooled = self.level_emb.weight.new_zeros(0, head.in_features)  # type: ignore[call-overload]
            else:
                pooled = mean_over_slices(self.get_submodule(f"rnn_{reader}")(packed)[0])
            sides.append(head(pooled).float())
        return torch.stack([sides[0], sides[-1]], 1)

    def losses(self, graded: Graded) -> dict[str, Tensor]:
        """Compute `loss`, the loss of each reader, and `n_valid`, the number of labels behind them."""
        named = {
            part: {
                name: self.loss_fn(logits[:, side], target[:, side]) for side, name in enumerate(READERS[part].values())
            }
            for part, (logits, target) in graded.items()
        }
        counts = [(target[:, : len(READERS[part])] != MISSING).sum() for part, (_, target) in graded.items()]
        return {
            **{name: loss.report() for losses in named.values() for name, loss in losses.items()},
            "loss": self.total([list(losses.values()) for losses in named.values()]).value,
            "n_valid": torch.stack(counts).sum(),
        }

    def total(self, losses: Sequence[Sequence[Loss]]) -> Loss:
        """Combine the losses per group and side: the mean over groups of the mean over sides."""
        return mean_of_defined(mean_of_defined(sides) for sides in losses)


class ConditionGradingNet(GradingNet):
    """A grading network whose rows each show the series type of one condition group, and are graded for it alone."""

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Grade a batch.

        Parameters
        ----------
        batch : mapping
            `input` (B, S, 1, H, W), `mask` (B, S), `level_num` (B), `condition` (B); `study_id`, `series_id` (B) in
            eval mode; `target` (B, 2) left and right, -100 where missing, when there are labels.

        Returns
        -------
        dict
            With targets `loss`, `n_valid` and the loss of each condition and side (NaN without a label); in eval
            mode `logits` (B, 2, 3), left and right, and the keys that say what a row is.
        """
        sequences = self.sequences(batch)
        conditions = batch["condition"].tolist()
        logits = sequences[0].new_zeros(len(sequences), 2, len(GRADES), dtype=torch.float32)
        graded = {}
        for part in self.parts:
            rows = [row for row, condition in enumerate(conditions) if PARTS[condition] == part]
            index = torch.tensor(rows, dtype=torch.long, device=logits.device)
            part_logits = self.grade(part, [sequences[row] for row in rows])
            logits = logits.index_copy(0, index, part_logits)
            if "target" in batch:
                graded[part] = part_logits, batch["target"][index]
        output = self.losses(graded) if graded else {}
        if not self.training:
            named = {"series_id": "series_id", "study_id": "study_id", "condition": "condition", "level": "level_num"}
            kept = {name: batch[key] for name, key in named.items()}
            output |= kept | {key: batch[key] for key in ("target",) if key in batch} | {"logits": logits}
        return output
