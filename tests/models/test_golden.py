"""All networks: the published numbers and names, and that a row does not depend on its batch."""

import dataclasses
import importlib
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import timm
import torch

NAMES = ("mdl_dh_4a2", "mdl_dh_4b2", "mdl_dh_4h4", "mdl_dh_12a4", "mdl_dh_23a", "mdl_dh_23c")
SEQUENCES = NAMES[2:]
CONFIGS = {
    "mdl_dh_4a2": "cfg_dh_05b5_loc",
    "mdl_dh_4b2": "cfg_dh_14p2_locsag",
    "mdl_dh_4h4": "cfg_dh_14s10a_locsag",
    "mdl_dh_12a4": "cfg_dh_12y8",
    "mdl_dh_23a": "cfg_dh_29a2",
    "mdl_dh_23c": "cfg_dh_29g",
}


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_published_numbers(name, channels_last, golden, network):
    cfg, batch, expected = golden(name)
    cfg.channels_last = channels_last
    with torch.no_grad():
        output = network(name, cfg)(batch)
    for key, value in expected.items():
        np.testing.assert_allclose(output[key].numpy(), value, rtol=0, atol=1e-5, err_msg=key)


@pytest.mark.parametrize("name", NAMES)
def test_a_published_checkpoint_loads_with_strict(name):
    """Its layout: timm's own names behind ``backbone.``, and the published names of the rest."""
    rest = json.loads((Path(__file__).parents[1] / "golden" / "checkpoint_keys.json").read_text())[name]
    cfg = dataclasses.replace(importlib.import_module(f"configs.{CONFIGS[name]}").cfg, pretrained=False)
    with torch.device("meta"):
        net = importlib.import_module(f"models.{name}").Net(cfg)
    backbone = timm_names(cfg.backbone.partition(".")[0], cfg.in_channels)
    assert [len(backbone), sum(value.numel() for value in backbone.values())] == rest.pop("backbone.*")
    state = {f"backbone.{key}": value for key, value in backbone.items()}
    state |= {key: torch.empty(shape, device="meta") for key, shape in rest.items()}
    net.load_state_dict(state, strict=True, assign=True)


@cache
def timm_names(architecture, in_channels):
    with torch.device("meta"):
        return timm.create_model(architecture, in_chans=in_channels, num_classes=0, global_pool="").state_dict()


def unequal(batch):
    """Shorten the sequences of a batch to different lengths, bright noise in the padding."""
    batch = dict(batch)
    rows, length = batch["mask"].shape
    batch["mask"] = (torch.arange(length) < torch.arange(rows)[:, None] % length + 1).long()
    batch["input"] = torch.where(batch["mask"][..., None, None, None] > 0, batch["input"], 255)
    return batch


@pytest.mark.parametrize("name", NAMES)
def test_each_row_equals_the_row_alone(name, golden, network):
    cfg, batch, _ = golden(name)
    batch = unequal(batch) if name in SEQUENCES else batch
    net = network(name, cfg)
    alone = []
    with torch.no_grad():
        together = net(batch)
        for row in range(len(batch["input"])):
            one = {key: value[row : row + 1] for key, value in batch.items()}
            if name in SEQUENCES:  # without its padding
                real, length = int(one["mask"].sum()), one["mask"].shape[1:]
                one |= {key: value[:, :real] for key, value in one.items() if value.shape[1:2] == length}
            alone.append(net(one))
    outputs = together, {key: torch.cat([output[key] for output in alone]) for key in ("series_id", "logits")}
    # mdl_dh_23c gives its rows group by group; a row or slice is told by its series.
    logits = [output["logits"][torch.argsort(output["series_id"], stable=True)] for output in outputs]
    torch.testing.assert_close(*logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", SEQUENCES)
def test_padding_reaches_neither_backbone_nor_batch_statistics(name, golden, network):
    cfg, batch, _ = golden(name)
    batch = unequal(batch)
    seen = []
    results = []
    for padding in (0, 255):
        net = network(name, cfg).train()
        for layer in net.modules():  # the only randomness
            if type(layer).__name__ in ("Dropout", "DropPath"):
                layer.eval()
        net.backbone.register_forward_pre_hook(lambda _, images: seen.append(len(images[0])))
        real = batch["mask"][..., None, None, None] > 0
        output = net(batch | {"input": torch.where(real, batch["input"], padding)})
        assert "logits" not in output
        results.append((output["loss"].detach(), dict(net.named_buffers())))
    assert seen == [int(batch["mask"].sum())] * 2
    torch.testing.assert_close(*results, rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore:TF32 acceleration")
@pytest.mark.parametrize("name", NAMES)
def test_training_step_in_mixed_precision(name, golden, network):
    cfg, batch, expected = golden(name)
    net = network(name, cfg).train()
    # PyTorch's own kernels: oneDNN has no LSTM in this precision on many CPUs.
    with torch.autocast("cpu", torch.bfloat16), torch.backends.mkldnn.flags(enabled=False):
        output = net(batch)
    assert output["loss"].dtype == torch.float32
    assert float(output["loss"].detach()) == pytest.approx(float(expected["loss"]), rel=0.5)
    output["loss"].backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_without_targets_there_are_predictions_and_no_loss(name, golden, network):
    cfg, batch, expected = golden(name)
    batch = {key: value for key, value in batch.items() if "target" not in key and not key.endswith("_label")}
    with torch.no_grad():
        output = network(name, cfg)(batch)
    assert not [key for key in output if key.startswith("loss") or key in ("n_valid", "target")]
    np.testing.assert_allclose(output["logits"].numpy(), expected["logits"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_without_labels_gives_a_zero_that_can_be_trained_on(name, golden, network):
    cfg, batch, _ = golden(name)
    for key in ("target", "nfn_label", "scs_label"):
        if key in batch and name not in NAMES[:3]:
            batch[key] = torch.full_like(batch[key], -100)
    if "target_mask" in batch:
        batch["target_mask"] = torch.zeros_like(batch["target_mask"])
    net = network(name, cfg).train()
    output = net(batch)
    parts = [key for key in output if key.startswith("loss_") and key != "loss_mask"]
    assert all(torch.isnan(output[key]) for key in parts)
    output["loss"].backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)
    if name == "mdl_dh_4b2":  # its mask objective is defined for every slice
        assert output["loss"].item() == pytest.approx(0.02 * output["loss_mask"].item())
        assert output["n_valid"] == len(batch["input"])
    else:
        assert output["loss"].item() == 0
        assert output["n_valid"] == 0
