import numpy as np
import pytest

from lumbar.phantom.tissue import TISSUES, Tissue, brightness, signals

ORDER = {
    "T1": ["fat", "marrow", "nucleus", "muscle", "csf", "ligament", "cortical", "air"],
    "T2": ["csf", "fat", "nucleus", "cord", "marrow", "muscle", "annulus", "ligament", "cortical", "air"],
    "STIR": ["csf", "nucleus", "cord", "muscle", "annulus", "fat", "cortical", "air"],
}


@pytest.mark.parametrize("contrast", ORDER)
def test_the_order_of_brightness_is_a_radiographers(contrast):
    values = [brightness(TISSUES[name], contrast) for name in ORDER[contrast]]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == len(values)


def test_a_dry_disc_is_dark_on_t2_only():
    wet, dry = TISSUES["nucleus"], TISSUES["nucleus_dry"]
    assert brightness(dry, "T2") < 0.4 * brightness(wet, "T2")
    assert brightness(dry, "T1") > 0.7 * brightness(wet, "T1")


def test_the_spin_echo_equation():
    assert brightness(Tissue(0.5, 1e-6, 1e9), "T1") == pytest.approx(0.5)  # all recovered, nothing lost
    assert brightness(Tissue(1.0, 560 / np.log(2), 1e9), "T1") == pytest.approx(0.5)  # half recovered
    assert brightness(Tissue(1.0, 1e-6, 100 / np.log(2)), "T2") == pytest.approx(0.5)  # half decayed


def test_stir_nulls_fat():
    assert brightness(TISSUES["fat"], "STIR") < 0.1 * brightness(TISSUES["csf"], "STIR")


def test_fat_and_water_add_up():
    whole, split = signals("T1", split_fat=False), signals("T1", split_fat=True)
    for name, value in whole.items():
        assert value.shape == (1, 1, 1, 1) and split[name].shape == (2, 1, 1, 1)
        assert split[name].sum() == pytest.approx(value.item(), rel=1e-6)
    assert split["fat"][0] == 0 and split["csf"][1] == 0
