from dataclasses import FrozenInstanceError
from typing import Literal

import pytest

from lumbar.cli import UserError
from lumbar.config import find_module, load_config, module_names, overrides_of, parse_value

# The table of the published configs: dataset, model, backbone, image px, batch, batch in validation, epochs, lr, weight
# decay, cache.
TABLE = {
    "cfg_dh_05b5_loc": ("ds_dh_4a2", "mdl_dh_4a2", "efficientnetv2_rw_t", 384, 16, 16, 16, 2e-4, 1e-2, "v01"),
    "cfg_dh_05b5_loc_test2": ("ds_dh_4a3", "mdl_dh_4a2", "efficientnetv2_rw_t", 384, 16, 16, None, None, None, "v01"),
    "cfg_dh_14p2_locsag": ("ds_dh_11g", "mdl_dh_4b2", "efficientnetv2_rw_s", 512, 32, 32, 8, 2e-4, 1e-2, "v01"),
    "cfg_dh_14p2_locsag_test": ("ds_dh_11g", "mdl_dh_4b2", "efficientnetv2_rw_s", 512, 32, 32, None, None, None, "v01"),
    "cfg_dh_14s10a_locsag": ("ds_dh_11n4", "mdl_dh_4h4", "efficientnetv2_rw_t", 512, 6, 12, 8, 2e-4, 1e-2, "v01"),
    "cfg_dh_29a2": ("ds_dh_23a", "mdl_dh_23a", "efficientnetv2_rw_t", 384, 8, 32, 6, 4e-4, 1e-4, "v04"),
    "cfg_dh_29g": ("ds_dh_23j", "mdl_dh_23c", "efficientnetv2_rw_t", 384, 8, 32, 6, 4e-4, 1e-4, "v04"),
    "cfg_dh_12y8": ("ds_dh_12s3", "mdl_dh_12a4", "efficientnetv2_rw_t", 256, 8, 32, 5, 4e-4, 1e-4, "v01"),
}


def test_the_configs_of_the_table_are_there() -> None:
    assert TABLE.keys() <= set(module_names("configs"))


@pytest.mark.parametrize("name", TABLE)
def test_configs_are_those_of_the_table(name: str) -> None:
    cfg = load_config(name)
    dataset, model, backbone, pixels, batch, batch_val, epochs, lr, weight_decay, cache = TABLE[name]
    assert (cfg.name, cfg.dataset, cfg.model, cfg.backbone.split(".")[0]) == (name, dataset, model, backbone)
    assert (cfg.img_size, cfg.batch_size, cfg.batch_size_val or cfg.batch_size) == (pixels, batch, batch_val)
    assert cfg.cache == f"train_images_{cache}"
    assert cfg.train == (epochs is not None)
    if cfg.train:
        assert (cfg.epochs, cfg.lr, cfg.weight_decay) == (epochs, lr, weight_decay)


def test_an_override_changes_its_key_and_no_other_config() -> None:
    cfg = load_config("cfg_dh_29g", {"img_size": "64", "fold": "-1", "parts": "ss,nfn"})
    assert (cfg.img_size, cfg.fold, cfg.parts) == (64, -1, ("ss", "nfn"))
    assert load_config("cfg_dh_29g").parts == ("ss",)
    with pytest.raises(FrozenInstanceError):
        cfg.fold = 2


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("3", int, 3),
        ("1e-4", float, 1e-4),
        ("yes", bool, True),
        ("False", bool, False),
        ("None", str | None, None),
        ("none", int | None, None),
        ("7", int | None, 7),
        ("fallback", bool | Literal["fallback"], "fallback"),
        ("off", bool | Literal["fallback"], False),
        ("64", int | tuple[int, int], 64),
        ("64,32", int | tuple[int, int], (64, 32)),
        ("(64, 32)", int | tuple[int, int], (64, 32)),
        ("['a', 'b']", tuple[str, ...], ("a", "b")),
        ("Sagittal T1, Axial T2", tuple[str, ...], ("Sagittal T1", "Axial T2")),
        ("", tuple[str, ...], ()),
    ],
)
def test_values_are_parsed_to_the_type_of_their_key(text: str, annotation: object, value: object) -> None:
    assert parse_value(text, annotation, "key") == value


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("epoch", "3", "no such key (did you mean 'epochs'?)"),
        ("epochs", "three", "option --epochs: expected a whole number, got 'three'"),
        ("epochs", "0", "config key 'epochs': must be greater than 0, got 0"),
        ("warmup", "2", "config key 'warmup': must be from 0 to 1, got 2.0"),
        ("fold", "-2", "config key 'fold': must be -1 or greater, got -2"),
        ("img_size", "16", "config key 'img_size': must be 32 or greater, got 16"),
        ("output_stride", "4", "option --output_stride: expected 8 or 16 or 32, got '4'"),
        ("img_size", "64,64,64", "expected a whole number or 2 comma-separated values"),
        ("img_size", "(64,", "expected a whole number or 2 comma-separated values"),
        ("pool", "max", "option --pool: expected avg or gem or softargmax or window, got 'max'"),
        ("train", "maybe", "option --train: expected True or False, got 'maybe'"),
        ("pretrained", "perhaps", "expected True or False or fallback, got 'perhaps'"),
    ],
)
def test_a_bad_override_names_the_key_and_what_was_expected(key: str, text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        load_config("cfg_dh_12y8", {key: text})
    assert message in str(error.value)
    assert error.value.status == 2


def test_a_module_that_is_missing_or_lacks_something_is_named() -> None:
    with pytest.raises(
        UserError, match=r"option -C: no module 'cfg_dh_12y9' in .*configs \(did you mean 'cfg_dh_12y8'"
    ):
        load_config("cfg_dh_12y9")
    with pytest.raises(UserError, match=r"config key 'metric': .*pp_dummy.py does not define calc_metric"):
        find_module("postprocess", "pp_dummy", ["calc_metric"], "config key 'metric'")


def test_overrides_of_all_and_of_one() -> None:
    table = {
        "all": {"img_size": 64, "pretrained": False},
        "cfg_dh_29a2": {"img_size": [96, 64], "parts": ["ss", "nfn"]},
    }
    assert overrides_of("cfg_dh_29g", table) == {"img_size": "64", "pretrained": "False"}
    text = overrides_of("cfg_dh_29a2", table)
    assert text == {"img_size": "96,64", "pretrained": "False", "parts": "ss,nfn"}
    cfg = load_config("cfg_dh_29a2", text)
    assert (cfg.img_size, cfg.pretrained, cfg.parts) == ((96, 64), False, ("ss", "nfn"))
    assert overrides_of("cfg_dh_29g", {}) == {}
