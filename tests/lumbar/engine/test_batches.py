from collections import Counter
from itertools import chain
from typing import Any

import numpy as np
import pytest

from lumbar.cli import UserError
from lumbar.config import load_config
from lumbar.engine.batches import training_batches, validation_batches, worker_errors


class Items(list[int]):
    sample_weights = np.array([0.0, 0.0, 1.0, 3.0])


def config(**keys: Any) -> Any:
    defaults = {"seed": 5, "batch_size": 4}
    return load_config("default_config", {key: str(value) for key, value in (defaults | keys).items()})


def test_every_item_comes_once_in_an_order_of_the_seed_and_the_epoch() -> None:
    cfg, items = config(drop_last=False), range(10)
    first = training_batches(cfg, items, 0, 1)
    assert [len(batch) for batch in first] == [4, 4, 2]
    assert sorted(chain.from_iterable(first)) == list(items)
    assert first == training_batches(cfg, items, 0, 1)
    assert first != training_batches(cfg, items, 1, 1)
    assert first != training_batches(config(seed=6, drop_last=False), items, 0, 1)


def test_ranks_share_the_batches_of_one_process() -> None:
    alone, three = (training_batches(config(), range(70), 3, world) for world in (1, 3))
    assert len(alone) == 17 and len(three) == 15
    assert three == alone[:15]


def test_a_random_choice_of_items() -> None:
    cfg = config(data_sample=8)
    epochs = [set(chain.from_iterable(training_batches(cfg, range(100), epoch, 1))) for epoch in (0, 1)]
    assert [len(epoch) for epoch in epochs] == [8, 8]
    assert epochs[0] != epochs[1]


def test_weighted_sampling_follows_the_weights() -> None:
    cfg = config(weighted_sampling=True, data_sample=4000)
    counts = Counter(chain.from_iterable(training_batches(cfg, Items(range(4)), 0, 1)))
    assert counts.keys() == {2, 3}
    assert counts[3] == pytest.approx(3000, abs=150)
    with pytest.raises(UserError, match="config key 'weighted_sampling': dataset ds_dh_4a2 gives no sample_weights"):
        training_batches(cfg, range(4), 0, 1)


def test_too_few_items_for_a_batch() -> None:
    with pytest.raises(UserError, match="config key 'batch_size': 3 training items are too few for a batch of 4"):
        training_batches(config(), range(3), 0, 1)
    assert len(training_batches(config(drop_last=False), range(3), 0, 1)) == 1


def test_validation_keeps_the_order_and_its_own_batch_size() -> None:
    assert validation_batches(config(batch_size_val=3), range(7)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert validation_batches(config(), range(5)) == [[0, 1, 2, 3], [4]]
    assert validation_batches(config(debug=True, batch_size=1), range(5)) == [[0], [1]]


def test_a_worker_s_mistake_reads_as_if_it_had_happened_here() -> None:
    raised = UserError(
        "Caught UserError in DataLoader worker process 0. Original Traceback (most recent call last): File x "
        "lumbar.cli.UserError: train.csv: no such file"
    )
    with pytest.raises(UserError, match=r"^train.csv: no such file$"), worker_errors():
        raise raised
    with pytest.raises(UserError, match="lower --num_workers"), worker_errors():
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")
    with pytest.raises(RuntimeError, match="something else"), worker_errors():
        raise RuntimeError("something else")
