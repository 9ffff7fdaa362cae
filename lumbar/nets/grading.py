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
        Condition groups that the network has LSTMs and heads for, of ``nfn scs ss``.
    slice_features : int
        How many numbers the network itself appends to each slice (`slice_features`).
    """

    def __init__(self, cfg: Config, parts: Sequence[str], slice_features: int = 0) -> None:
        super().__init__(cfg)
        self.parts = known_parts(parts)
        self.level_emb = nn.Embedding(len(LEVELS), EMBEDDING)
        for reader in (reader for part in self.parts for reader in READERS[part]):
            inputs = self.features + EMBEDDING + slice_features
            self.add_module(f"rnn_{reader}", bidirectional_lstm(inputs, cfg.hidden_dim))
            self.add_module(f"head_{reader}", nn.Linear(2 * cfg.hidden_dim, len(GRADES)))
        self.loss_fn = GradeLoss()

    def sequences(self, batch: Batch) -> list[Tensor]:
        """Encode each row's real slices and append the embedding of its level: B tensors (S_i, features)."""
        features, rows = self.encode_slices(batch)
        level = self.level_emb(batch["level_num"])[rows]
        slices = torch.cat([features, level, *self.slice_features(batch)], 1)
        return list(slices.split(batch["mask"].sum(1).tolist()))

    def slice_features(self, batch: Batch) -> list[Tensor]:
        """Give the further numbers of each real slice, tensors (T, n): none here."""
        return []

    def grade(self, part: str, sequences: Sequence[Tensor]) -> Tensor:
        """Grade one condition group: logits (rows, 2, 3), left and right; a group without sides repeats its own."""
        sides = []
        for reader in READERS[part]:
            rnn, head = self.get_submodule(f"rnn_{reader}"), self.get_submodule(f"head_{reader}")
            if sequences:
                pooled = mean_over_slices(rnn(pack(sequences))[0])
            else:  # the head still stands in the graph: its gradient is 0 and not missing
                pooled = self.level_emb.weight.new_zeros(0, head.in_features)  # type: ignore[call-overload]
            sides.append(head(pooled).float())
        return torch.stack([sides[0], sides[-1]], 1)

    def losses(self, graded: Graded) -> dict[str, Tensor]:
        """Compute `loss`, the loss of each reader, and `n_valid`, the number of labels behind them."""
        groups: list[list[Loss]] = []
        output: dict[str, Tensor] = {}
        for part, (logits, target) in graded.items():
            names = READERS[part].values()
            groups.append([self.loss_fn(logits[:, side], target[:, side]) for side in range(len(names))])
            output |= {name: loss.report() for name, loss in zip(names, groups[-1], strict=True)}
        labels = [(target[:, : len(READERS[part])] != MISSING).sum() for part, (_, target) in graded.items()]
        return output | {"loss": self.total(groups).value, "n_valid": torch.stack(labels).sum()}

    def total(self, losses: Sequence[Sequence[Loss]]) -> Loss:
        """Combine the losses per group and side: the mean over groups of the mean over sides."""
        return mean_of_defined(mean_of_defined(sides) for sides in losses)


def known_parts(parts: Sequence[str]) -> list[str]:
    """Put condition groups into the order of `READERS`, in which the networks are built.

    Raises
    ------
    UserError
        If one is unknown.
    """
    for part in parts:
        choose("parts", part, READERS)
    return [part for part in READERS if part in parts]


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
        conditions = batch["condition"].cpu()
        logits = sequences[0].new_zeros(len(sequences), 2, len(GRADES), dtype=torch.float32)
        graded = {}
        for part in self.parts:
            rows = (conditions == PARTS.index(part)).nonzero()[:, 0]
            index = rows.to(logits.device)
            part_logits = self.grade(part, [sequences[row] for row in rows.tolist()])
            logits = logits.index_copy(0, index, part_logits)
            if "target" in batch:
                graded[part] = part_logits, batch["target"][index]
        output = self.losses(graded) if graded else {}
        if not self.training:
            named = {**batch, "level": batch["level_num"]}
            kept = [key for key in ("series_id", "study_id", "condition", "level", "target") if key in named]
            output |= {key: named[key] for key in kept} | {"logits": logits}
        return output
