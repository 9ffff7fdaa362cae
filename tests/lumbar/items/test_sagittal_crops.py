import numpy as np
import pandas as pd
import pytest

from lumbar.anatomy import LEVELS
from lumbar.images.slices import SliceIndex
from lumbar.items.sagittal_crops import lumbar_sequences, sagittal_sequences

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def slices_of(series=10, sizes=((500, 600),) * 4):
    """Slices 1, 2, ... from the patient's left to right."""
    return pd.DataFrame(
        [
            {
                "study_id": 1, "series_id": series, "instance_number": n,
                "ImagePositionPatient": (-4.0 * n, 0.0, 0.0), "ImageOrientationPatient": SAGITTAL,
                "PixelSpacing": (0.5, 0.5), "img_w": width, "img_h": height,
            }
            for n, (width, height) in enumerate(sizes, start=1)
        ]
    )  # fmt: skip


def points_of(masks, series=10, x=lambda level, n: 250, y=lambda level, n: 100 + 80 * level, size=(500, 600)):
    return pd.DataFrame(
        [
            {
                "instance_number": n, "series_id": series, "study_id": 1, "level": name, "logits_mask": mask,
                "x": x(level, n), "y": y(level, n), "img_w": size[0], "img_h": size[1],
            }
            for n, mask in enumerate(masks, start=1)
            for level, name in enumerate(LEVELS)
        ]
    )  # fmt: skip


def test_boxes_by_hand():
    # Level 1 wanders from (240, 170) to (260, 190) over the sure slices: centre (250, 180).
    points = points_of([0.9, 0.85, 0.5, 0.1], x=lambda level, n: 230 + 10 * n if level == 1 else 245,
                       y=lambda level, n: 100 + 80 * level + (20 * n - 30 if level == 1 else 0))  # fmt: skip
    sequences = sagittal_sequences(points, SliceIndex(slices_of()), 0.8)
    assert sequences.level.tolist() == [0, 1, 2, 3, 4]
    assert sequences.box[1].tolist() == pytest.approx([245 - 88, 180 - 88, 245 + 88, 180 + 88])  # 1.1 x 80
    assert sequences.pixel_boxes()[1].tolist() == [157, 92, 333, 268]
    assert sequences.box[0, 1] == pytest.approx(100 - 88)
    assert sequences.slices.instance[sequences.slice_rows(2)].tolist() == [3, 2, 1]  # right to left, mask over 0.2


def test_the_larger_distance_counts_and_40_px_at_least():
    depth = [100, 110, 125, 225, 240]
    points = points_of([0.9], y=lambda level, n: depth[level])
    sequences = sagittal_sequences(points, SliceIndex(slices_of(sizes=((500, 600),))), 0.8)
    assert ((sequences.box[:, 2] - sequences.box[:, 0]) / 2).tolist() == pytest.approx([40, 40, 110, 110, 40])


@pytest.mark.parametrize(("best", "kept"), [(0.8, False), (0.81, True)])
def test_series_need_a_sure_slice(best, kept, caplog):
    caplog.set_level("INFO")
    sequences = sagittal_sequences(points_of([0.5, best]), SliceIndex(slices_of()), 0.8)
    assert len(sequences) == 5 * kept
    assert f"{int(not kept)} of 1 series" in caplog.text


def test_a_series_without_points_is_dropped():
    index = SliceIndex(pd.concat([slices_of(10), slices_of(20)]))
    sequences = sagittal_sequences(points_of([0.9], series=20), index, 0.8)
    assert sequences.series_id.tolist() == [20] * 5
    assert sequences.slices.series_id[sequences.slice_rows(0)].tolist() == [20]


def test_slices_of_another_size():
    sizes = ((500, 600), (500, 600), (250, 300))
    points = pd.concat([
        points_of([0.9, 0.9], x=lambda level, n: 250),
        points_of([0, 0, 0.9], x=lambda level, n: 130, y=lambda level, n: 50 + 40 * level, size=(250, 300)).iloc[10:],
    ])  # fmt: skip
    sequences = sagittal_sequences(points, SliceIndex(slices_of(sizes=sizes)), 0.8)
    assert sequences.size[2].tolist() == [500, 600]
    middle = (sequences.box[2, :2] + sequences.box[2, 2:]) / 2
    assert middle.tolist() == [255, 260]


def test_lumbar_box_by_hand():
    points = points_of([0.1, 0.1], x=lambda level, n: 200 + 10 * level + 2 * n, y=lambda level, n: 100 + 80 * level)
    sequences = lumbar_sequences(points, SliceIndex(slices_of()))
    # Mean x from 203 to 243, y from 100 to 420: middle (223, 260), half side 0.7 x 320.
    assert sequences.box.tolist() == [pytest.approx([223 - 224, 260 - 224, 223 + 224, 260 + 224])]
    assert sequences.pixel_boxes().tolist() == [[0, 36, 447, 484]]
    assert sequences.slices.instance[sequences.slice_rows(0)].tolist() == [4, 3, 2, 1]


def test_lumbar_boxes_need_points(caplog):
    caplog.set_level("INFO")
    sequences = lumbar_sequences(points_of([0.9], series=99), SliceIndex(slices_of()))
    assert len(sequences) == 0
    assert "1 of 1 series have no predicted level point" in caplog.text


def test_taking_some():
    sequences = sagittal_sequences(points_of([0.9] * 4), SliceIndex(slices_of()), 0.8)
    some = sequences.take(np.array([4, 0]))
    assert some.level.tolist() == [4, 0]
    assert some.box[0].tolist() == sequences.box[4].tolist()
