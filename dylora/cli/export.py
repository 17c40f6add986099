"""`python -m dylora export`: a trained adapter at any rank as files of other libraries."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dylora.adapters.active_rank import rank_state
from dylora.adapters.cuts import CUTS, Cut, check_cut
from dylora.adapters.rank_spec import parse_ranks
from dylora.adapters.sensitivity import Sensitivities
from dylora.cli.commands import typed
from dylora.cli.plain_parser import PlainParser
from dylora.deploy.budget_file import Budget, read_budget
from dylora.deploy.export_run import Export, Format, write_all_ranks, write_rank
from dylora.deploy.hub import check_name, push
from dylora.deploy.merged_folder import DType
from dylora.deploy.new_folder import check_new, new_folder
from dylora.deploy.trained import Trained, load_trained
from dylora.errors import InputError

if TYPE_CHECKING:
    from dylora.callbacks.cut import CutAdapter


def build_parser() -> PlainParser:
    """The command's options."""
    text = "Write a trained adapter at any rank as files of PEFT or transformers, with a model card."
    parser = PlainParser(prog=typed("export"), description=text)
    add = parser.add_argument
    text = "Folder of a run, one of its checkpoints, or a folder of dylora; the newest run under logs/ if left out."
    add("source", type=str | None, nargs="?", default=None, metavar="RUN", help=text)
    text = "Rank to write: one (3), several (1,4,8), a range (2-5) or all; of several each in a folder rank_<b>."
    add("--rank", type=str, default="all", help=text)
    text = "peft: a LoRA for PeftModel.from_pretrained; merged: a folder of transformers; dylora: all ranks."
    add("--format", type=Format, default="peft", help=text)
    add("--output", type=Path, required=True, metavar="DIR", help="Folder to write, which must not exist.")
    text = "Cut the adapter in this way, whatever its scaling: " + ", ".join(CUTS) + "; null does not."
    add("--cut", type=str | None, default=None, help=text)
    text = "Number of training examples, of the run's own data, that weigh the two-sided cut."
    add("--cut_examples", type=int, default=1000, help=text)
    text = "Ranks per module, a file that budget wrote, under the cut that they were chosen by; for peft and merged."
    add("--budget", type=Path | None, default=None, metavar="FILE", help=text)
    text = "Type of merged weights, float32, bfloat16 or float16; null keeps the backbone's."
    add("--dtype", type=DType | None, default=None, help=text)
    text = "Name on the Hugging Face hub, USER/NAME, to upload the folder to as well."
    add("--push_to_hub", type=str | None, default=None, metavar="NAME", help=text)
    return parser


def export(arguments: Sequence[str]) -> None:
    """Carry out the command.

    Args:
        arguments: The options of the command.

    Raises:
        InputError: If an option is wrong, the folder exists, or the adapter has no such form.
    """
    options = build_parser().parse_args(list(arguments))
    _check(options)
    trained = load_trained(Path(options.source) if options.source else None)
    ranks = parse_ranks(options.rank, rank_state(trained.predictor.model).config.ranks)
    command = shlex.join(["python", "-m", "dylora", "export", *arguments])
    place = options.push_to_hub or str(options.output)
    print(trained, flush=True)
    budget = _budget(options.budget, trained)
    kind, examples = (budget.cut, budget.cut_examples) if budget else (options.cut, options.cut_examples)
    found = _cut_on_data(trained, kind, examples) if kind in ("two-sided", "learned") else None
    weights, order = (found.calibration, found.order) if found else (None, None)
    wanted = Export(
        options.format,
        kind,
        options.dtype,
        place,
        command,
        budget,
        _on_cpu(weights.sensitivities) if weights else None,
        order.factors if order else None,
    )
    with new_folder(options.output) as folder:
        if options.format == "dylora":
            write_all_ranks(folder, trained, wanted)
        elif budget or options.rank.strip().isdigit():
            write_rank(folder, trained, ranks[-1], wanted)
        else:
            _write_all(folder, trained, ranks, wanted)
    print(f"Written: {options.output}")
    if options.push_to_hub:
        print(f"Uploaded: {push(options.output, options.push_to_hub)}")


def _write_all(folder: Path, trained: Trained, ranks: Sequence[int], wanted: Export) -> None:
    for rank in ranks:
        name = f"rank_{rank}"
        (folder / name).mkdir()
        write_rank(folder / name, trained, rank, wanted)


def _budget(path: Path | None, trained: Trained) -> Budget | None:
    """The budget of a file, which must have been chosen for the same checkpoint."""
    if path is None:
        return None
    budget, checkpoint = read_budget(path), trained.checkpoint
    if checkpoint is None or (checkpoint.name, trained.step) != (budget.checkpoint, budget.step):
        allowed = f"of {checkpoint.name}, step {trained.step}" if checkpoint else "left out for a folder without a run"
        given = f"{str(path)!r} of {budget.checkpoint}, step {budget.step}"
        raise InputError("--budget", allowed, given, "run python -m dylora budget for what is exported")
    return budget


def _cut_on_data(trained: Trained, kind: Cut, examples: int) -> "CutAdapter":
    """What a cut needs of the run's own training data."""
    if trained.checkpoint is None:
        allowed = f"another than {kind} for a folder without a run"
        raise InputError("--cut", allowed, trained.place, "use svd, or convert with --calibrate")
    from dylora.cli.calibration import cut_of_run

    found = cut_of_run(trained.checkpoint, kind, examples)
    for what in filter(None, (found.calibration, found.order)):
        print(f"Cut {kind}: {what}", flush=True)
    return found


def _on_cpu(sensitivities: Sensitivities) -> Sensitivities:
    found = sensitivities.items()
    return {name: replace(each, inputs=each.inputs.cpu(), gradients=each.gradients.cpu()) for name, each in found}


def _check(options: Any) -> None:  # noqa: ANN401 (jsonargparse's namespace)
    """Refuse what can be known to be wrong before anything is loaded."""
    check_new(options.output)
    if options.cut:
        check_cut(options.cut)
    if options.format == "dylora" and options.rank.strip() != "all":
        fix = "leave it out; dylora.load chooses the rank"
        raise InputError("--rank", "all for --format dylora, which holds every rank", options.rank, fix)
    if options.dtype and options.format != "merged":
        raise InputError("--dtype", "left out but for --format merged", options.dtype, "leave it out")
    if options.cut_examples < 1:
        raise InputError("--cut_examples", "1 or more", options.cut_examples, "1000 are enough")
    for name, given in (("--cut", options.cut), ("--rank", None if options.rank == "all" else options.rank)):
        if options.budget and given:
            raise InputError(name, "left out with --budget, which says it", given, "leave it out")
    if options.budget and options.format == "dylora":
        allowed = "left out for --format dylora, which holds every rank"
        raise InputError("--budget", allowed, options.budget, "choose peft or merged")
    if options.push_to_hub:
        check_name(options.push_to_hub)
