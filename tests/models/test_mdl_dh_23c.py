import torch


def test_rows_of_the_dummy_series_are_left_out(golden, network):
    cfg, batch, _ = golden("mdl_dh_23c")
    batch["nfn_series_id"][:] = cfg.dummy_series_id
    with torch.no_grad():
        output = network("mdl_dh_23c", cfg)(batch)
    assert output["condition"].tolist() == [2] * 4 + [1] * 3
    assert output["series_id"].tolist() == [1000, 1001, 1002, 1003, 601, 602, 604]
    assert len(output["logits"]) == len(output["target"]) == len(output["level"]) == 7


def test_only_the_parts_asked_for(golden, network):
    cfg, batch, _ = golden("mdl_dh_23c")
    cfg.model_parts = ("scs",)
    with torch.no_grad():
        output = network("mdl_dh_23c", cfg)(batch)
    assert output["condition"].tolist() == [1] * 3
    assert output["loss"] == output["loss_t2"]
    assert "loss_l_ss" not in output
