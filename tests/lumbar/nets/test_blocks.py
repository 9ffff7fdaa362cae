from types import SimpleNamespace

import pytest
import torch

from lumbar.cli import UserError
from lumbar.nets.blocks import POOLS, BackboneNet, bidirectional_lstm, mean_over_slices, pack


def config(**changes):
    values = {"backbone": "test_efficientnet", "pretrained": False, "in_channels": 1, "pool": "avg",
              "gem_p_trainable": False, "image_normalization": "simple", "channels_last": False,
              "output_stride": 32}  # fmt: skip
    return SimpleNamespace(**values | changes)


def pool(name, maps=1, **changes):
    return POOLS[name](config(**changes), maps)


def test_grey_values_of_any_type_give_the_same_features():
    net = BackboneNet(config()).eval()
    images = torch.randint(0, 256, (2, 1, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    with torch.no_grad():
        assert net.encode(images).shape == (2, net.features)
        assert torch.equal(net.encode(images), net.encode(images.float()))


def test_pools():
    maps = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])
    assert pool("avg")(maps).item() == 3
    assert pool("gem")(maps).item() == pytest.approx(((1 + 8 + 27 + 216) / 4) ** (1 / 3))


def test_softargmax_says_where_a_feature_is():
    maps = torch.zeros(1, 2, 3, 5)
    maps[0, 0, 2, 1] = 100.0
    torch.testing.assert_close(pool("softargmax", 2)(maps), torch.tensor([[100 / 15, 0, -0.5, 0, 1, 0]]))


def test_weight_decay_pulls_a_window_to_its_start():
    window, maps = pool("window", 2), torch.rand(1, 2, 6, 6)
    start = window(maps)
    with torch.no_grad():
        window.centre += 0.5
        window.log_width += 1
    assert not torch.allclose(window(maps), start)
    optimizer = torch.optim.AdamW(window.parameters(), lr=0.1, weight_decay=5)
    for _ in range(40):
        for parameter in window.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
    torch.testing.assert_close(window(maps), start)


def test_a_window_starts_in_the_middle_and_can_move():
    window, maps = pool("window", 2), torch.zeros(1, 2, 4, 5)
    maps[:, :, 1:3, 2] = 1.0  # a tenth of the image
    assert (window(maps) > 0.4).all()
    maps[:, :, 3, 4] = 7.0  # a corner
    with torch.no_grad():
        window.centre[:, 1] = 1.0
        window.log_width[:, 1] = -2.0
    assert window(maps)[0, 0] < 1
    assert window(maps)[0, 1].item() == pytest.approx(7)
    torch.testing.assert_close(window(torch.full((1, 2, 3, 2), 4.0)), torch.full((1, 2), 4.0))


@pytest.mark.parametrize(("stride", "size"), [(32, 2), (16, 4), (8, 8)])
@pytest.mark.parametrize("name", POOLS)
def test_a_smaller_stride_gives_finer_maps(name, stride, size):
    net = BackboneNet(config(output_stride=stride, pool=name)).eval()
    assert net.backbone(torch.zeros(1, 1, 64, 64)).shape[2:] == (size, size)
    assert net.encode(torch.zeros(1, 1, 64, 64)).shape == (1, net.features)


@pytest.mark.parametrize("trainable", [False, True])
def test_the_power_of_gem_is_trained_on_request(trainable):
    assert pool("gem", gem_p_trainable=trainable).p.requires_grad == trainable


@pytest.mark.parametrize(
    ("key", "value", "nearest"), [("pool", "gen", "gem"), ("image_normalization", "simpel", "simple")]
)
def test_an_unknown_value_names_the_nearest(key, value, nearest):
    with pytest.raises(UserError, match=f"{key} '{value}'.*did you mean '{nearest}'"):
        BackboneNet(config(**{key: value}))


def test_a_backbone_without_feature_maps_is_refused():
    net = BackboneNet(config(backbone="test_vit", in_channels=3)).eval()
    with pytest.raises(UserError, match=r"VisionTransformer gives no feature maps .* choose a convolutional one"):
        net.encode(torch.zeros(1, 3, 160, 160))


def test_packed_sequences_of_any_order_equal_each_alone():
    torch.manual_seed(0)
    rnn = bidirectional_lstm(4, 3)
    sequences = [torch.randn(length, 4) for length in (2, 5, 1, 5)]
    with torch.no_grad():
        together = mean_over_slices(rnn(pack(sequences))[0])
        alone = torch.stack([rnn(sequence)[0].mean(0) for sequence in sequences])
    torch.testing.assert_close(together, alone)
