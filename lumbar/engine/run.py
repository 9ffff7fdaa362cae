"""One run from its first line to its exit status: processes, signals, messages, and what is done in between."""

from __future__ import annotations

import logging
from contextlib import ExitStack

from tqdm.contrib.logging import logging_redirect_tqdm

from lumbar.config import Config
from lumbar.engine.batches import worker_errors
from lumbar.engine.experiment import complete, find_modules, output_folder
from lumbar.engine.lock import LOCK, hold
from lumbar.engine.ranks import start
from lumbar.engine.signals import Stopped, StopRequest
from lumbar.engine.trainer import Trainer

_log = logging.getLogger(__name__)


def run(cfg: Config, gpus: list[int] | None = None) -> int:
    """Train, validate or infer one config on one fold.

    Parameters
    ----------
    cfg : config
        Of `lumbar.config.load_config`.
    gpus : list of int, optional
        GPUs to use; empty for the CPU; None takes what there is.

    Returns
    -------
    int
        Exit status: 0, or 128 + signal when it was asked to stop.
    """
    with start(gpus) as ranks, StopRequest() as stop, logging_redirect_tqdm(), worker_errors(), ExitStack() as held:
        try:
            if ranks.main:
                cfg = complete(cfg)
                held.enter_context(hold(output_folder(cfg) / LOCK.format(seed=cfg.seed), cfg.wait, stop))
            else:
                logging.getLogger("lumbar").setLevel(logging.WARNING)
            cfg = ranks.broadcast(cfg)
            trainer = Trainer(cfg, find_modules(cfg), ranks, stop)
            held.callback(trainer.close)
            if cfg.train:
                trainer.train()
            else:
                trainer.record()
            _log.info("%s", trainer.summary())
        except Stopped as stopped:
            _log.info("%s", stopped)
            return stopped.status
    return 0
