import numpy as np
import pandas as pd
import torch

from lumbar.anatomy import TARGETS
from lumbar.grades.studies import StudyPredictions, fill_levels, gather_studies, with_full_labels


def rows(*entries):
    """Make classifier rows of (study, level, condition, left logit, right logit, left label, right label)."""
    study, level, condition, left, right, left_label, right_label = zip(*entries, strict=True)
    logits = torch.tensor([left, right], dtype=torch.float32).T[..., None] * torch.tensor([1.0, 0.0, -1.0])
    return {
        "study_id": torch.tensor(study),
        "level": torch.tensor(level),
        "condition": torch.tensor(condition),
        "target": torch.tensor([left_label, right_label]).T,
        "logits": logits,
    }


FOLDS = pd.DataFrame({"study_id": [7, 7, 3]})


def test_series_of_one_target_are_averaged_and_land_in_their_columns():
    data = rows((7, 4, 0, 1, 5, 2, -100), (7, 4, 0, 3, 5, 2, -100), (3, 0, 1, 8, 8, 1, -100), (3, 1, 2, 4, 6, 0, 1))
    studies = gather_studies(data, FOLDS, ("nfn", "scs", "ss"))
    assert studies.study_id.tolist() == [3, 7]
    found = {(int(i), TARGETS[j]): studies.logits[i, j, 0] for i, j in np.argwhere(studies.predicted)}
    assert found == {
        (0, "spinal_canal_stenosis_l1_l2"): 8,
        (0, "left_subarticular_stenosis_l2_l3"): 4,
        (0, "right_subarticular_stenosis_l2_l3"): 6,
        (1, "left_neural_foraminal_narrowing_l5_s1"): 2,
        (1, "right_neural_foraminal_narrowing_l5_s1"): 5,
    }
    assert studies.target[0, 0] == 1 and studies.target[1, 9] == 2 and studies.target[1, 14] == -100
    assert not studies.logits[~studies.predicted].any()


def test_parts_not_asked_for_are_left_out():
    studies = gather_studies(rows((3, 0, 2, 1, 1, 1, 1)), FOLDS, ("nfn", "scs"))
    assert not studies.predicted.any() and (studies.target == -100).all()


def test_without_targets_they_are_missing():
    data = rows((3, 0, 1, 1, 1, 0, 0))
    del data["target"]
    studies = gather_studies(data, FOLDS, ("scs",))
    assert studies.predicted[0, 0] and (studies.target == -100).all()


def one_study(predicted: str) -> StudyPredictions:
    known = np.array([[mark == "x" for mark in predicted] + [False] * 20])
    logits = np.where(known[..., None], np.arange(1, 26)[None, :, None] * np.ones(3), 0)
    return StudyPredictions(np.array([1]), logits, np.full((1, 25), -100), known)


def test_gaps_take_the_nearest_level_and_between_two_the_lower():
    for predicted, expected in {
        "xxxxx": [1, 2, 3, 4, 5],
        "x...x": [1, 1, 5, 5, 5],
        "..x..": [3, 3, 3, 3, 3],
        ".x.x.": [2, 2, 4, 4, 4],
        "xx...": [1, 2, 2, 2, 2],  # also the lower levels, which the published loop does not reach
        ".....": [0, 0, 0, 0, 0],
    }.items():
        filled = fill_levels(one_study(predicted)).logits
        assert filled[0, :5, 0].tolist() == expected
        assert not filled[0, 5:].any()  # other conditions stay unknown


def test_full_labels_of_the_fold_file():
    frame = pd.DataFrame({"study_id": [1, 1], TARGETS[0]: ["Severe"] * 2, TARGETS[24]: ["Normal/Mild"] * 2})
    frame[TARGETS[3]] = [None, None]
    everything = one_study("x....")._replace(predicted=np.ones((1, 25), bool))
    target = with_full_labels(everything, frame).target
    assert target[0, 0] == 2 and target[0, 24] == 0
    assert (target[0, 1:24] == -100).all()
    assert (with_full_labels(everything, frame[["study_id"]]).target == -100).all()


def test_a_condition_group_that_is_never_predicted_is_not_scored():
    frame = pd.DataFrame({"study_id": [1], **dict.fromkeys(TARGETS, "Severe")})
    target = with_full_labels(one_study("..x.."), frame).target[0]
    assert (target[:5] == 2).all()  # also the levels without a prediction of their own
    assert (target[5:] == -100).all()
