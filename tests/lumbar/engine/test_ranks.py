import pytest
import torch

from lumbar.cli import UserError
from lumbar.engine.ranks import Ranks, choose_device


def test_one_process_talks_to_nobody() -> None:
    ranks = Ranks(0, 1, torch.device("cpu"))
    net = torch.nn.Linear(1, 1)
    assert ranks.main
    assert ranks.gather("a") == ["a"]
    assert ranks.broadcast("a") == "a"
    assert ranks.any(True, False) == [True, False]
    assert ranks.wrap(net) is net


def test_the_device_is_the_cpu_unless_there_are_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device([3], 0) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device([], 0) == torch.device("cpu")
    assert choose_device(None, 1) == torch.device("cuda", 1)
    assert choose_device([1], 0) == torch.device("cuda", 1)
    with pytest.raises(UserError, match="option -G: no GPU 2; this machine has 2, numbered from 0"):
        choose_device([2], 0)
    with pytest.raises(UserError, match="local rank 1 has no GPU of its own, 1 to choose from"):
        choose_device([0], 1)
