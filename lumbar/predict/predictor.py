"""All networks, loaded once, and what they make of some studies: from files to finished records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lumbar.anatomy import TARGETS
from lumbar.cli import UserError
from lumbar.config import load_config
from lumbar.engine.ranks import Ranks
from lumbar.grades.class_shares import class_shares
from lumbar.grades.combiner import Combiner
from lumbar.grades.oof import model_names
from lumbar.predict.caching import Cached, make_caches
from lumbar.predict.checkpoints import Trained
from lumbar.predict.checks import Checker, thresholds
from lumbar.predict.clock import Clock
from lumbar.predict.locating import locate
from lumbar.predict.networks import Ensemble, cache_version, load_networks
from lumbar.predict.record import SHARES, SeriesNote, StudyRecord
from lumbar.predict.study_files import StudyFiles
from lumbar.predict.study_grades import Graded, grade
from lumbar.predict.views import Viewer
from lumbar.roles import AXIAL, CLASSIFIERS, INFERENCE, MLP, SAGITTAL, SLICES


class Predictor:
    """Trained networks that answer for studies.

    Parameters
    ----------
    trained : mapping of str to sequence of Trained
        Networks by config.
    ranks : Ranks
        For the device.
    workers : int
        Processes that make caches and load items.
    batch_size : int or None
        Items at a time; None: as in validation.
    clock : Clock
        Takes the time of each stage.
    packed : bool
        Whether the weights are a packed folder, whose networks must all be usable.

    Attributes
    ----------
    problems, notes : list of str
        Networks that were left out; what else should be known of them.

    Raises
    ------
    UserError
        If nothing could be graded with these networks.
    """

    def __init__(
        self,
        trained: Mapping[str, Sequence[Trained]],
        ranks: Ranks,
        workers: int,
        batch_size: int | None,
        clock: Clock,
        packed: bool,
    ) -> None:
        self.workers, self.clock = workers, clock
        self.problems: list[str] = []
        self.notes: list[str] = []
        loaded = {name: load_networks(members, self.problems, self.notes, packed) for name, members in trained.items()}
        self.ensembles = {
            name: Ensemble(
                trained[name][0].cfg, networks, ranks, workers, batch_size,
                load_config(INFERENCE[name]) if name in INFERENCE else None,
            )
            for name, networks in loaded.items() if networks and name != MLP
        }  # fmt: skip
        self.classifiers = {name: self.ensembles[name] for name in CLASSIFIERS if name in self.ensembles}
        if SAGITTAL not in self.ensembles or not self.classifiers:
            what = f"no network of {SAGITTAL}" if SAGITTAL not in self.ensembles else "no classifier"
            more = f": {self.problems[0]}" if self.problems else ""
            raise UserError(f"nothing can be graded, there is {what}{more}")
        self.combiner = None
        if loaded.get(MLP) and set(model_names(trained[MLP][0].cfg)) & set(self.classifiers):
            self.combiner = Combiner([network.cpu() for network in loaded[MLP]], model_names(trained[MLP][0].cfg))
        self._note_gaps()
        self.thresholds = thresholds(ensemble.cfg for ensemble in self.classifiers.values())
        self.versions = sorted({cache_version(ensemble.cfg) for ensemble in self.ensembles.values()})

    def _note_gaps(self) -> None:
        """Note what is missing among the networks, and what follows."""
        for name, effect in (
            (AXIAL, "nothing is read on axial slices"),
            (SLICES, "nothing is read on axial slices"),
            *((name, "the others answer without it") for name in CLASSIFIERS),
        ):
            if name not in self.ensembles:
                self.notes.append(f"no network of {name}: {effect}")
        if self.combiner is None:
            self.notes.append(f"no network of {MLP} that knows these classifiers: they are averaged")
        else:
            absent = [name for name in self.combiner.names if name not in self.classifiers]
            if absent:
                self.notes.append(f"{MLP} was also trained on {', '.join(absent)}, missing here: it answers without")

    def summary(self) -> str:
        """Count the networks."""
        counts = [f"{name} x {len(ensemble)}" for name, ensemble in self.ensembles.items()]
        return ", ".join([*counts, f"{MLP} x {len(self.combiner.networks)}"] if self.combiner else counts)

    def predict(self, studies: Sequence[StudyFiles], data: Path, failures: list[str]) -> list[StudyRecord]:
        """Answer for a few studies, in their order; the records have no fingerprint.

        Parameters
        ----------
        studies : sequence of StudyFiles
            As many as fit into memory and disk with their caches and items.
        data : Path
            A folder to work in, with the layout of a data folder.
        failures : list of str
            Gets one line for each file that could not be used.
        """
        with self.clock("caches"):
            cached = make_caches(studies, data, self.versions, self.workers)
        failures += [line for lines in cached.failures.values() for line in lines]
        if not len(cached.series):
            return [unanswered(study, cached) for study in studies]
        located = locate(cached, data, self.ensembles, self.clock)
        graded = grade(cached.series, data, self.classifiers, self.combiner, self.clock)
        with self.clock("records"):
            viewer = Viewer(cached, located, data, self.versions[0])
            checker = Checker(cached.series, cached.meta, located, self.thresholds)
            rows = {study_id: row for row, study_id in enumerate(graded.study_id.tolist())}
            return [
                answer(study, cached, graded, rows[study.study_id], viewer, checker)
                if study.study_id in rows
                else unanswered(study, cached)
                for study in studies
            ]


def answer(
    study: StudyFiles, cached: Cached, graded: Graded, row: int, viewer: Viewer, checker: Checker
) -> StudyRecord:
    """Write down what was found out about a study, which stands in a row of `graded`."""
    source, axial = tuple(graded.source[row]), viewer.axial(study.study_id)
    warnings = checker.warnings(study.study_id, source, graded.probabilities[row], axial)
    return StudyRecord(
        study_id=study.study_id,
        fingerprint="",
        probabilities=graded.probabilities[row],
        source=source,
        models={name: values[row] for name, values in graded.models.items()},
        series=series_notes(study, cached),
        warnings=(*study.warnings, *left_out(study, cached), *warnings),
        sagittal=viewer.sagittal(study.study_id),
        axial=axial,
    )


def unanswered(study: StudyFiles, cached: Cached | None, reason: str = "") -> StudyRecord:
    """Write down a study about which nothing could be found out, by default for want of series."""
    if not reason:
        ignored = f", {len(study.series)} ignored" if study.series and not study.used else ""
        reason = f"no usable series{ignored}" if study.series else "no images"
    return StudyRecord(
        study_id=study.study_id,
        fingerprint="",
        probabilities=class_shares(),
        source=(SHARES,) * len(TARGETS),
        models={},
        series=series_notes(study, cached),
        warnings=(*study.warnings, *left_out(study, cached), f"Class shares for all {len(TARGETS)} grades: {reason}"),
    )


def series_notes(study: StudyFiles, cached: Cached | None) -> tuple[SeriesNote, ...]:
    """Say of each series what it was taken for, and of how many slices."""
    notes = []
    for series in study.series:
        usable = int((cached.meta["series_id"] == series.series_id).sum()) if cached else 0
        count = usable if series.kind else len(series.files)
        kind, reason = series.kind, series.reason
        if kind and cached and not usable:
            kind, reason = None, f"{reason}; none of its {len(series.files)} files could be read"
        notes.append(SeriesNote(series.series_id, kind, reason, count))
    return tuple(notes)


def left_out(study: StudyFiles, cached: Cached | None) -> list[str]:
    """Say how many files of a study were not used (their names, which may be anything, are not recorded)."""
    if cached is None:
        return []
    total = sum(series.count for series in study.used)
    failed, scouts = len(cached.failures.get(study.study_id, ())), cached.scouts.get(study.study_id, 0)
    unreadable = [f"{failed} of {total} files could not be read and are left out"] if failed else []
    return unreadable + [f"{scouts} slices in another plane than their series (scouts?) are left out"] * bool(scouts)
