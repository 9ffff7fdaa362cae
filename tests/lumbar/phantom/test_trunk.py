import pytest

from lumbar.phantom.trunk import paint_trunk


@pytest.fixture(scope="module")
def trunk(painted):
    canvas, at = painted("T1", reach=110)
    paint_trunk(canvas)
    return canvas, at


def test_air_lies_behind_the_skin_and_fat_under_it(trunk):
    canvas, _ = trunk
    patient = canvas.patient
    _, _, z = patient.spine.to_patient(0.0, 0.0, 0.0)
    row = round(z + 260)
    skin = patient.back["skin"][row] - 2.5  # the furrow in the mid-line
    column = [canvas.plane.to_pixels((canvas.plane.origin[0], skin + dy, z)) for dy in (3.0, -4.0)]
    outside, fat = (canvas.picture[0, 0, round(pixel[1]), round(pixel[0])] for pixel in column)
    assert outside == 0
    assert fat == pytest.approx(canvas.signals["fat"].item(), rel=0.25)


def test_muscle_lies_beside_the_spine(painted):
    canvas, at = painted("T1", x=37.0, reach=80)
    paint_trunk(canvas)
    muscle, fat = canvas.signals["muscle"].item(), canvas.signals["fat"].item()
    psoas = [at(ds, 37.0, -11.0 + dv) for ds in (-3, 0, 3) for dv in (-4, 0, 4)]
    assert sorted(psoas)[4] == pytest.approx(muscle, rel=0.25)
    assert sorted(psoas)[4] < 0.5 * fat


def test_the_aorta_is_a_flow_void_on_the_left(painted):
    for x, name in ((9.0, "blood"), (-15.0, "slow_blood")):
        canvas, at = painted("T1", x=x, reach=80)
        paint_trunk(canvas)
        size = canvas.patient.build.vessel_size
        radius = {"blood": 9.0, "slow_blood": 7.6}[name]
        front = -canvas.patient.vertebrae[7].depth - radius * size - 2.5
        assert at(0.0, x, front) == pytest.approx(canvas.signals[name].item(), abs=0.03)
