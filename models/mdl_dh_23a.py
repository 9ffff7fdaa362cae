"""Axial grades: subarticular stenosis from Axial T2, and with `cfg.parts` also the sagittal conditions, per level."""

from __future__ import annotations

from lumbar.anatomy import PARTS
from lumbar.config import Config
from lumbar.nets.grading import ConditionGradingNet, known_parts


class Net(ConditionGradingNet):
    """Grade each row for the condition group that its series type shows, as far as `cfg.parts` names it.

    The network has LSTMs and heads for all groups whatever `cfg.parts` names, as published checkpoints do.
    """

    def __init__(self, cfg: Config) -> None:
        super().__init__(cfg, PARTS)
        self.parts = known_parts(cfg.parts)
