from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

from lumbar.cli import UserError
from lumbar.config import load_config
from lumbar.engine.optimisation import BufferGuard, learning_rate, make_autocast, make_scaler, out_of_memory

CPU = torch.device("cpu")


def config(**keys: Any) -> Any:
    return load_config("default_config", {key: str(value) for key, value in keys.items()})


def test_the_learning_rate_rises_over_a_tenth_and_falls_as_a_cosine() -> None:
    rates = [learning_rate(config(lr=1.0, warmup=0.1), step, 100) for step in range(101)]
    assert rates[:10] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
    assert rates[10] == 1
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0)
    assert all(after < before for before, after in pairwise(rates[10:]))


def test_without_warm_up_the_first_step_has_the_peak_rate() -> None:
    assert learning_rate(config(lr=2.0, warmup=0), 0, 1) == 2


def test_the_cpu_computes_in_full_precision() -> None:
    for precision in ("fp16", "bf16", "off"):
        with make_autocast(config(mixed_precision=precision), CPU):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
        assert not make_scaler(config(mixed_precision=precision), CPU).is_enabled()


def test_a_guard_undoes_what_a_non_finite_pass_did_to_running_statistics() -> None:
    layer = nn.BatchNorm1d(2)
    guard = BufferGuard(layer)
    layer(torch.randn(4, 2))
    guard.keep()
    good = layer.running_mean.clone()  # type: ignore[union-attr]
    layer(torch.full((4, 2), torch.inf))
    guard.restore()
    assert torch.equal(layer.running_mean, good)  # type: ignore[arg-type]


def test_out_of_memory_names_the_key() -> None:
    with pytest.raises(UserError, match="out of GPU memory with batch_size 16: lower --batch_size"):  # noqa: SIM117
        with out_of_memory("batch_size", 16):
            raise torch.cuda.OutOfMemoryError
