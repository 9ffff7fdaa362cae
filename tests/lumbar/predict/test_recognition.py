"""Series types from headers as scanners of several makers write them."""

from pathlib import Path
from typing import Any

import pytest

from lumbar.anatomy import AXIAL_T2, SAGITTAL_T1, SAGITTAL_T2
from lumbar.predict.headers import Header
from lumbar.predict.recognition import Recognition, choose, recognise

NAN = float("nan")
SAGITTAL, AXIAL, CORONAL = (0.0, 1, 0, 0, 0, -1), (1.0, 0, 0, 0, 1, 0), (1.0, 0, 0, 0, 0, -1)


def header(text: str = "", plane: tuple[float, ...] = SAGITTAL, **values: Any) -> Header:
    defaults: dict[str, Any] = dict.fromkeys(("image_type", "body_part", "sequence"), "")
    defaults |= dict.fromkeys(("study", "patient", "series", "image"), "1")
    defaults |= dict.fromkeys(("echo", "repetition", "inversion"), NAN)
    defaults |= {"path": Path("1.dcm"), "instance": 1, "modality": "MR", "contrast": False, "is_image": True}
    return Header(text=text.lower(), orientation=plane, **(defaults | values))


def kind(text: str = "", plane: tuple[float, ...] = SAGITTAL, slices: int = 15, **values: Any) -> str | None:
    return recognise([header(text, plane, **values)] * slices).kind


@pytest.mark.parametrize(
    ("text", "plane", "expected"),
    [
        ("Sagittal T1", SAGITTAL, SAGITTAL_T1),
        ("Sagittal T2/STIR", SAGITTAL, SAGITTAL_T2),
        ("Axial T2", AXIAL, AXIAL_T2),
        ("t2_tse_sag_384", SAGITTAL, SAGITTAL_T2),
        ("t1_tse_sag", SAGITTAL, SAGITTAL_T1),
        ("Sag T1 FLAIR", SAGITTAL, SAGITTAL_T1),
        ("SagT2 FSE", SAGITTAL, SAGITTAL_T2),
        ("t2_tirm_sag_fs", SAGITTAL, SAGITTAL_T2),
        ("STIR SAG", SAGITTAL, SAGITTAL_T2),
        ("AxT2 L1-S1", AXIAL, AXIAL_T2),
        ("T2W_TSE_tra", AXIAL, AXIAL_T2),
        ("Sag PD", SAGITTAL, None),
        ("Ax T1", AXIAL, None),
        ("COR T2", CORONAL, None),
    ],
)
def test_described_series(text: str, plane: tuple[float, ...], expected: str | None) -> None:
    assert kind(text, plane) == expected


@pytest.mark.parametrize(
    ("plane", "times", "expected"),
    [
        (SAGITTAL, {"echo": 11.0, "repetition": 560.0}, SAGITTAL_T1),
        (SAGITTAL, {"echo": 102.0, "repetition": 3400.0}, SAGITTAL_T2),
        (SAGITTAL, {"echo": 102.0}, SAGITTAL_T2),
        (SAGITTAL, {"echo": 38.0, "repetition": 4200.0, "sequence": "ir"}, SAGITTAL_T2),
        (SAGITTAL, {"echo": 60.0, "repetition": 4200.0, "inversion": 160.0}, SAGITTAL_T2),
        (SAGITTAL, {"echo": 12.0, "repetition": 2200.0, "inversion": 860.0}, SAGITTAL_T1),
        (SAGITTAL, {"echo": 20.0, "repetition": 3000.0}, None),
        (SAGITTAL, {"echo": 20.0, "repetition": 500.0, "sequence": "gr"}, None),
        (SAGITTAL, {}, None),
        (AXIAL, {"echo": 100.0, "repetition": 4000.0}, AXIAL_T2),
        (AXIAL, {"echo": 11.0, "repetition": 560.0}, None),
        (AXIAL, {}, AXIAL_T2),
    ],
)
def test_series_without_a_description(plane: tuple[float, ...], times: dict[str, Any], expected: str | None) -> None:
    assert kind("", plane, **times) == expected


def test_times_decide_where_they_contradict_the_description_and_the_reason_says_so() -> None:
    found = recognise([header("SAG T1", echo=100.0, repetition=3000.0)] * 15)
    assert found.kind == SAGITTAL_T2
    assert found.reason == "sagittal; described as T1, but echo time 100 ms, repetition time 3000 ms"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"modality": "CT"}, "modality CT, not MR"),
        ({"text": "3-plane loc"}, "a localizer"),
        ({"image_type": "original primary localizer"}, "a localizer"),
        ({"text": "Sag T2 C-spine"}, "another region of the body than the lumbar spine"),
        ({"text": "sag t2", "body_part": "tspine"}, "another region of the body than the lumbar spine"),
        ({"text": "sag dwi b0 t2"}, "a diffusion, projection or flow image, not anatomy"),
        ({"text": "sag t2", "slices": 2}, "only 2 slices"),
    ],
)
def test_what_is_of_no_use(values: dict[str, Any], reason: str) -> None:
    slices = values.pop("slices", 15)
    assert recognise([header(**values)] * slices) == Recognition(None, reason)


def test_a_thoracolumbar_series_is_of_use() -> None:
    assert kind("sag t2 thoracolumbar") == SAGITTAL_T2


def test_the_plane_is_that_of_most_slices() -> None:
    text = "t2"
    mixed = [header(text, AXIAL)] * 20 + [header(text, SAGITTAL)] * 3
    assert recognise(mixed).kind == AXIAL_T2
    scout = [header(text, plane) for plane in (AXIAL, SAGITTAL, CORONAL) for _ in range(5)]
    assert recognise(scout).kind is None and "several planes" in recognise(scout).reason


def test_the_plane_comes_from_the_description_where_no_slice_has_an_orientation() -> None:
    assert kind("T2 sagittal", ()) == SAGITTAL_T2
    assert kind("T2 transversal", ()) == AXIAL_T2
    assert kind("T2", ()) is None


@pytest.mark.parametrize(
    ("text", "values"),
    [("sag t1 post", {}), ("sag t1 +C", {}), ("sag t1", {"contrast": True}), ("t2_dixon_sag_opp", {}),
     ("sag t2 mpr", {}), ("sag t2* gre", {})],
)  # fmt: skip
def test_second_choices(text: str, values: dict[str, Any]) -> None:
    second = recognise([header(text, **values)] * 15)
    assert second.second_choice and second.kind
    better = Recognition(second.kind, "sagittal")
    assert choose([second]) == [second]
    chosen = choose([second, better])
    assert chosen[1] == better and chosen[0].kind is None and "has a better" in chosen[0].reason


def test_two_good_series_of_one_type_are_both_used() -> None:
    t2, stir = Recognition(SAGITTAL_T2, "described as T2"), Recognition(SAGITTAL_T2, "described as STIR")
    assert choose([t2, stir]) == [t2, stir]
