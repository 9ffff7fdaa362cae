"""The whole order of work as one graph: every rule runs a command of the README.

snakemake -n                                               the plan on the real data (configs/workflow.yaml)
snakemake --resources gpu=4                                run it, four trainings side by side on four GPUs
snakemake --configfile configs/workflow_demo.yaml          a synthetic competition on the CPU
snakemake --config folds=[0,1]                             any key of the file, otherwise
snakemake --workflow-profile profiles/slurm                on a cluster (docs/cluster.md)

Without another profile, profiles/default/config.yaml counts. A run that was killed goes on with the same command:
finished steps stay, a training resumes from its last epoch.
"""

from pathlib import Path

from lumbar.cli import UserError
from lumbar.config import overrides_of
from lumbar.roles import AXIAL, CLASSIFIERS, INFERENCE as LOCALISERS, SAGITTAL, SLICES as Z_LOCALISER

configfile: "configs/workflow.yaml"

DATA, WEIGHTS, REPORTS = config["data"], config["weights"], config["reports"]
FOLDS, SEEDS, GPUS = config["folds"], config["seeds"], config["gpus"]
THREADS, DATA_THREADS = config["threads"], config["data_threads"]
SEED = SEEDS[0]
SAGITTAL_LABELS = f"{DATA}/sag_xy/shifted_spinenet_v02.csv.gz"
AXIAL_XY = f"{DATA}/axial_xy/cfg_dh_05b5_loc_test2.csv.gz"
SAGITTAL_XY = f"{DATA}/sag_xy/test__cfg_dh_14p2_locsag_test.csv.gz"
SLICE_SCORES = f"{DATA}/sag_slice/test__{Z_LOCALISER}.csv.gz"
MAPPING = f"{DATA}/axial_lvl/test__dh_14p2___dh_14s10a____locsag_mapped_v02.pkl"
NEEDS = {SAGITTAL: [SAGITTAL_LABELS], Z_LOCALISER: [SAGITTAL_XY]}
NEEDS |= {classifier: [SAGITTAL_XY, AXIAL_XY, MAPPING] for classifier in CLASSIFIERS}

wildcard_constraints:
    config = "cfg_[a-z0-9_]+",
    fold = "-?[0-9]+",
    seed = "[0-9]+",

if "epochs" in config:
    raise WorkflowError("epochs: a key of each config, under overrides: <config>: {epochs: 13}")
try:
    OVERRIDES = {name: overrides_of(name, config["overrides"]) for name in [*NEEDS, *LOCALISERS]}
except UserError as error:
    raise WorkflowError(str(error))

def overrides(name):
    """Options of train.py for a config: where things lie, then what the config file says."""
    keys = {"data_dir": DATA, "weights_dir": WEIGHTS} | OVERRIDES[name]
    return " ".join(f"--{key} {value}" for key, value in keys.items())

def trained(name, folds=FOLDS, seeds=(SEED,)):
    """Markers of finished trainings. The checkpoints are no outputs: Snakemake would delete those of a killed run."""
    return [f"{WEIGHTS}/{name}/fold{fold}/trained_seed{seed}" for fold in folds for seed in seeds]

def start(wildcards):
    """Folder and seed of the network whose backbone a training starts from: one pair, or none."""
    name = config["starts"].get(wildcards.config)
    first = name not in CLASSIFIERS and wildcards.fold != "-1"  # the localisers' fold models have the first seed alone
    return [(f"{WEIGHTS}/{name}/fold{wildcards.fold}", SEED if first else wildcards.seed)] if name else []

def hours_to_the_end(name, final):
    """Hours from the start of a training to the end of the longest chain of trainings that waits for it."""
    waiting = [other for other, first in config["starts"].items() if first == name]
    if not final:  # the fold models of a localiser make tables
        waiting += {SAGITTAL: [Z_LOCALISER], AXIAL: CLASSIFIERS, Z_LOCALISER: CLASSIFIERS}.get(name, [])
    return config["hours"].get(name, 0) + max((hours_to_the_end(other, final) for other in waiting), default=0)

GRADING_MODELS = [marker for name in CLASSIFIERS for marker in trained(name, seeds=SEEDS)]
FOLD_MODELS = [marker for name in [*LOCALISERS, Z_LOCALISER] for marker in trained(name)] + GRADING_MODELS
FINAL_MODELS = [
    marker for name in [*LOCALISERS, Z_LOCALISER, *CLASSIFIERS] for marker in trained(name, [-1], config["final_seeds"])
]

if workflow.is_main_process and workflow.local_exec and GPUS > 1 and workflow.cores < GPUS * THREADS:
    logger.warning(
        f"{workflow.cores} cores are too few for {GPUS} trainings side by side with {THREADS} each: a GPU stays idle; "
        "lower threads in the configuration, or gpus"
    )

localrules: all, folds, aggregate_localisation, aggregate_z_localisation, evaluate_localisation, summary

rule all:  # the models too: one that was deleted is trained again
    input: FOLD_MODELS, FINAL_MODELS, summary = f"{REPORTS}/summary.txt"
    params: then = "Next, with real data: README.md, 'The real data, step by step'" if config["phantom"] else ""
    shell: "cat {input.summary}; echo; echo {params.then:q}"

if config["phantom"]:

    rule phantom:
        output: f"{DATA}/train.csv", f"{DATA}/truth.csv", f"{DATA}/phantom.json"
        threads: DATA_THREADS
        params: options = config["phantom"]
        shell: "exec python scripts/make_phantom.py --out {DATA} {params.options}"

elif not Path(DATA, "train.csv").is_file():
    raise WorkflowError(f"{DATA}/train.csv: not there; scripts/download_data.sh fetches the competition's data")

rule prepare:
    input: f"{DATA}/train.csv"
    output: f"{DATA}/meta_v1.pkl"
    threads: DATA_THREADS
    shell: "exec python scripts/prepare.py --data {DATA}"

rule folds:
    input: f"{DATA}/train.csv"
    output: f"{DATA}/train_folded_v1.csv"
    params: options = config["fold_options"]
    shell: "exec python scripts/make_folds.py --data {DATA} {params.options}"

rule outlines:
    input: rules.prepare.output
    output: touch(f"{DATA}/spinenet/found")
    threads: DATA_THREADS
    params: python = config["spinenet_python"]
    shell: "exec python scripts/make_sag_loc_labels_part1.py --data {DATA} --spinenet-python {params.python}"

rule sagittal_labels:
    input: rules.prepare.output, rules.outlines.output if config["labels"] == "spinenet" and not config["phantom"] else []
    output: SAGITTAL_LABELS
    threads: DATA_THREADS
    params: source = config["labels"]
    shell: "exec python scripts/make_sag_loc_labels_part2.py --data {DATA} --source {params.source}"

rule check_data:
    input: rules.prepare.output, rules.folds.output, SAGITTAL_LABELS
    output: f"{REPORTS}/check.html", f"{REPORTS}/check.csv"
    shell: "exec python scripts/check_data.py --data {DATA} --html {output[0]} --csv {output[1]}"

rule train:
    input:
        rules.prepare.output, rules.folds.output,
        lambda wildcards: NEEDS.get(wildcards.config, []),
        lambda wildcards: [f"{folder}/trained_seed{seed}" for folder, seed in start(wildcards)],
    output: touch(WEIGHTS + "/{config}/fold{fold}/trained_seed{seed}")
    priority: lambda wildcards: round(100 * hours_to_the_end(wildcards.config, wildcards.fold == "-1"))
    threads: THREADS
    resources: gpu = min(GPUS, 1)
    params:
        options = lambda wildcards: overrides(wildcards.config),
        start = lambda wildcards: [
            f"--pretrained_weights {folder}/checkpoint_last_seed{seed}.pth --strict False --pop_weights rnn,head"
            for folder, seed in start(wildcards)
        ],
    shell:
        "OMP_NUM_THREADS={threads} exec scripts/on_free_gpu.sh {GPUS} python train.py -C {wildcards.config} "
        "--fold {wildcards.fold} --seed {wildcards.seed} --resume_training True --wait True {params.options} {params.start}"

rule infer:
    input: WEIGHTS + "/{localiser}/fold{fold}/trained_seed" + str(SEED)
    output: touch(WEIGHTS + "/{localiser}/fold{fold}/inferred")
    wildcard_constraints: localiser = "|".join(LOCALISERS)
    priority: 10_000
    threads: THREADS
    resources: gpu = min(GPUS, 1)
    params:
        inference = lambda wildcards: LOCALISERS[wildcards.localiser],
        options = lambda wildcards: overrides(wildcards.localiser),
    shell:
        "OMP_NUM_THREADS={threads} exec scripts/on_free_gpu.sh {GPUS} python train.py -C {params.inference} "
        "--fold {wildcards.fold} --seed {SEED} --wait True "
        "--pretrained_weights {WEIGHTS}/{wildcards.localiser}/fold{wildcards.fold} {params.options}"

rule aggregate_localisation:
    input: expand(WEIGHTS + "/{localiser}/fold{fold}/inferred", localiser=LOCALISERS, fold=FOLDS)
    output: AXIAL_XY, SAGITTAL_XY
    shell: "exec python aggregate_localisation.py --data {DATA} --weights {WEIGHTS} --folds {FOLDS} --seed {SEED}"

rule aggregate_z_localisation:
    input: trained(Z_LOCALISER), SAGITTAL_XY
    output: SLICE_SCORES, MAPPING
    shell: "exec python aggregate_z_localisation.py --data {DATA} --weights {WEIGHTS} --folds {FOLDS} --seed {SEED}"

rule evaluate_localisation:
    input: MAPPING, AXIAL_XY, SAGITTAL_XY
    output: f"{REPORTS}/localisation.txt"
    shell: "exec python scripts/evaluate_localisation.py --data {DATA} > {output}"

rule ensemble:
    input: GRADING_MODELS
    output: f"{WEIGHTS}/cfg_mlp/scores.csv", f"{REPORTS}/scores.txt"
    shell: "exec python scripts/ensemble.py --data {DATA} --weights_dir {WEIGHTS} > {output[1]}"

rule predict:
    input: FOLD_MODELS, FINAL_MODELS, rules.ensemble.output
    output: config["submission"], f"{REPORTS}/prediction.html"
    threads: DATA_THREADS
    resources: gpu = min(GPUS, 1)
    shell:
        "exec scripts/on_free_gpu.sh {GPUS} python predict.py {DATA}/test_images --weights {WEIGHTS} "
        "--series {DATA}/test_series_descriptions.csv --out {output[0]} --report {output[1]}"

rule training_report:
    input: FOLD_MODELS, rules.ensemble.output
    output: f"{REPORTS}/training.html"
    shell: "exec python scripts/make_report.py --data {DATA} --weights {WEIGHTS} --out {output}"

rule pack:
    input: FOLD_MODELS, FINAL_MODELS, rules.ensemble.output
    output: directory(f"{WEIGHTS}_packed")
    shell: "exec python scripts/pack_weights.py --weights {WEIGHTS} --out {output}"

rule summary:
    input:
        scores = f"{REPORTS}/scores.txt",
        localisation = rules.evaluate_localisation.output,
        made = [*rules.check_data.output, *rules.training_report.output, *rules.predict.output, *rules.pack.output],
    output: f"{REPORTS}/summary.txt"
    shell: "{{ cat {input.localisation} {input.scores}; printf '%s\\n' '' 'Made:' {input.made}; }} > {output}"
