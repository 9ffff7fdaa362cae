import numpy as np
import pytest

from lumbar.anatomy import TARGETS
from lumbar.phantom.patient import sample_patient
from lumbar.phantom.profiles import BACK_Z, sac_end
from lumbar.phantom.spine import index

SICK = dict.fromkeys(TARGETS, 0) | {"spinal_canal_stenosis_l4_l5": 2}


@pytest.fixture(scope="module")
def patient():
    return sample_patient(np.random.default_rng(2), SICK)


def test_the_sac_has_each_discs_own_area(patient):
    for disc in patient.discs[5:10]:
        at = index(disc.s)
        assert np.pi * patient.sac["half_width"][at] * patient.sac["half_depth"][at] == pytest.approx(
            disc.sac_area, rel=0.005
        )


def test_a_stenosis_is_over_at_the_middle_of_the_next_body(patient):
    for bone in patient.vertebrae[8:10]:  # L4, L5
        at = index(bone.s)
        area = np.pi * patient.sac["half_width"][at] * patient.sac["half_depth"][at]
        assert area == pytest.approx(patient.build.sac_area, rel=0.01)


def test_the_sac_stays_within_the_canal_and_ends_in_the_second_sacral_vertebra(patient):
    low, high = index(patient.vertebrae[9].s), index(patient.vertebrae[4].s)
    part = slice(low, high)
    assert (patient.sac["half_width"] < patient.canal["half_width"])[part].all()
    assert (patient.sac["middle"] - patient.sac["half_depth"] > 0)[part].all()
    second = patient.vertebrae[11]
    assert abs(sac_end(patient.vertebrae) - second.s) < 0.5 * second.height


def test_ligaments_lie_at_the_discs(patient):
    filled = patient.canal["ligament"]
    assert filled[index(patient.discs[7].s)] > 0.99
    assert filled[index(patient.vertebrae[7].s)] < 0.15


def test_the_skin_lies_behind_the_fascia_and_the_fascia_behind_the_spinous_processes(patient):
    assert (patient.back["skin"] > patient.back["fascia"]).all()
    bone = patient.vertebrae[7]
    _, y, z = patient.spine.to_patient(bone.s, 0.0, 22 + bone.spinous)
    assert patient.back["fascia"][round(z - BACK_Z[0])] > y


def test_psoas_grows_downwards_and_muscles_fatten(patient):
    at = {bone.label: index(bone.s) for bone in patient.vertebrae}
    assert patient.muscle["psoas_radius"][at["L1"]] < patient.muscle["psoas_radius"][at["L4"]]
    assert patient.muscle["fat"][at["L1"]] < patient.muscle["fat"][at["L5"]]
