import pytest
import torch


def run(golden, network, **changes):
    cfg, batch, _ = golden("mdl_dh_4h4")
    with torch.no_grad():
        return batch | changes, network("mdl_dh_4h4", cfg)(batch | changes)


def test_one_row_per_real_slice_in_order(golden, network):
    mask = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 0, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0]])
    batch, output = run(golden, network, mask=mask)
    assert output["series_id"].tolist() == [10] * 6 + [11] + [12] * 3
    assert output["instance_number"].tolist() == [1, 2, 3, 4, 5, 6, 1, 1, 2, 3]
    assert torch.equal(output["target"][7:], batch["target"][2, :3])
    assert output["logits"].shape == (10, 3)


def test_a_series_weighs_by_its_annotated_slices(golden, network):
    mask = torch.tensor([[1] * 6, [1, 1, 0, 0, 0, 0]])
    short = {key: value[:2] for key, value in golden("mdl_dh_4h4")[1].items()} | {"mask": mask}
    _, output = run(golden, network, **short)
    error = (output["logits"] - output["target"]).abs()
    # Series 10 has left and right foramina on 6 slices, series 11 the canal, which counts twice, on 2.
    expected = (error[:6, :2].sum() * 6 / 20 + 2 * error[6:, 2].sum() * 2 / 20) / (12 + 4)
    assert output["loss"].item() == pytest.approx(expected.item())
    assert output["loss_l1_nfn"].item() == pytest.approx(error[:6, :2].mean().item())
    assert output["loss_l1_scs"].item() == pytest.approx(error[6:, 2].mean().item())


def test_a_kind_without_labels_repeats_the_other(golden, network):
    target_mask = torch.zeros(3, 6, 3, dtype=torch.long)
    target_mask[..., 2] = 1
    _, output = run(golden, network, target_mask=target_mask)
    assert output["loss_l1_nfn"] == output["loss_l1_scs"]
    assert output["loss_l1_nfn"].item() == pytest.approx(output["loss_l1"].item())


def test_squared_errors_are_averaged_where_asked_for(golden, network):
    cfg, batch, _ = golden("mdl_dh_4h4")
    one = {key: value[:1] for key, value in batch.items()}  # left and right foramina on 6 slices
    cfg.count_objective = "l2"
    with torch.no_grad():
        output = network("mdl_dh_4h4", cfg)(one)
    error = (output["logits"] - output["target"])[:, :2]
    assert output["loss"].item() == pytest.approx((error.square().mean() * 6 / 20).item())
    assert output["loss_l1"].item() == pytest.approx(error.abs().mean().item())
