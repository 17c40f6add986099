"""`python -m dylora budget`: ranks per module under a budget, beside the uniform cut."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LightningArgumentParser
from typing_extensions import override

from dylora.adapters.active_rank import rank_state
from dylora.callbacks.budget import BudgetAdapter
from dylora.callbacks.cut import CutAdapter
from dylora.cli.commands import COMMANDS, typed
from dylora.cli.lightning_cli import DyLoRACLI, run_cli
from dylora.cli.run_arguments import completed
from dylora.deploy.budget_file import Budget, budget_file, write_budget
from dylora.errors import InputError
from dylora.modules.base import EveryRankModule
from dylora.processes import say
from dylora.rank_curve.compare import compare
from dylora.rank_curve.kept import KeptOutcomes
from dylora.runs.checkpoints import read_checkpoint

_KINDS = ("svd", "two-sided")


def share_budget(arguments: Sequence[str]) -> None:
    """Carry out the command.

    Args:
        arguments: The options of the command; what they leave out comes from the run.

    Raises:
        InputError: If an option is wrong.
    """
    (_, *options), note = completed(["validate", *arguments])
    if note:
        say(note)
    run_cli(BudgetCLI, "validate", options)


class BudgetCLI(DyLoRACLI):
    """`validate` of one adapter in two forms of the same size: ranks per module, and the same rank in all of them."""

    @override
    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        kwargs |= {"description": COMMANDS["budget"], "usage": f"{typed('budget')} --mean_rank N [options]"}
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        parser.add_argument(
            "--mean_rank", type=float | None, default=None, help="Ranks a module in the mean, 1 or more."
        )
        return parser

    @override
    def before_instantiate_classes(self) -> None:
        """Choose the SVD cut if none is, and refuse those that do not sort."""
        options = self.config[self.config.subcommand]
        options.cut = options.cut or "svd"
        if options.cut not in _KINDS:
            raise InputError("--cut", "svd or two-sided for a budget", options.cut, "choose one of the two")
        if options.rank != "all":
            raise InputError("--rank", "left out with --mean_rank", options.rank, "leave it out")
        super().before_instantiate_classes()

    @override
    def after_instantiate_classes(self) -> None:
        """Check the budget, before anything is evaluated."""
        super().after_instantiate_classes()
        if not isinstance(self.model, EveryRankModule) or not self.model.method.has_adapters:
            raise InputError("--model", "one with adapters, for budget", type(self.model).__name__, "choose a run")
        if self.run_of_checkpoint() is None:
            fix = "choose a run; a folder keeps no budget"
            raise InputError("--ckpt_path", "that of a run, for budget", self._get(self.config, "ckpt_path"), fix)
        mean_rank, most = self._get(self.config, "mean_rank"), rank_state(self.model.model).config.max_rank
        if mean_rank is None or not 1 <= mean_rank <= most:
            fix = "one rank a module is the least, max_rank the most"
            raise InputError("--mean_rank", f"from 1 to {most}", "none" if mean_rank is None else f"{mean_rank:g}", fix)

    @override
    def validate(self, model: LightningModule, **options: Any) -> None:
        """Evaluate both, show them, and write the ranks of the modules."""
        assert isinstance(model, EveryRankModule)
        kind, examples = self._get(self.config, "cut"), self._get(self.config, "cut_examples")
        mean_rank = self._get(self.config, "mean_rank")
        config = rank_state(model.model).config
        shared = BudgetAdapter(kind, mean_rank, examples)
        found = self._evaluated(model, shared, config.max_rank, options)
        if shared.calibration:
            say(f"Cut two-sided: {shared.calibration}")
        budget = self._budget(shared, model)
        say(f"{budget}: {_figures(model)}")
        below = [rank for rank in config.ranks if rank <= mean_rank]
        if below:
            uniform = CutAdapter(kind, examples)
            uniform.calibration = shared.calibration
            before = self._evaluated(model, uniform, below[-1], options)
            say(f"Uniform rank {below[-1]}, cut {kind}: {below[-1] * len(budget.ranks)} ranks: {_figures(model)}")
            say(_difference(before, found, model))
        run = self.run_of_checkpoint()
        if run and self.trainer.is_global_zero:
            path = budget_file(run, kind, mean_rank)
            write_budget(path, budget)
            say(f"Written: {path}")

    def _budget(self, shared: BudgetAdapter, model: EveryRankModule) -> Budget:
        checkpoint = Path(self._get(self.config, "ckpt_path"))
        step = int(read_checkpoint(checkpoint)["global_step"])
        metrics = {name: next(iter(values.values())) for name, values in model.results.items()}
        return Budget(
            shared.kind, shared.mean_rank, shared.examples, checkpoint.name, step, metrics, dict(shared.ranks)
        )

    def _evaluated(
        self, model: EveryRankModule, callback: CutAdapter, rank: int, options: dict[str, Any]
    ) -> KeptOutcomes | None:
        model.eval_ranks = (rank,)
        callbacks: list[Any] = self.trainer.callbacks  # type: ignore[attr-defined]
        callbacks.append(callback)
        try:
            self.trainer.validate(model, **options, verbose=False)
        finally:
            callbacks.remove(callback)
        return model.outcomes


def _figures(model: EveryRankModule) -> str:
    return ", ".join(f"{name} {next(iter(values.values())):.4f}" for name, values in model.results.items())


def _difference(before: KeptOutcomes | None, found: KeptOutcomes | None, model: EveryRankModule) -> str:
    """By how much the budget is better, on the same examples."""
    if before is None or found is None or before.examples < 2:
        return "The examples' outcomes are not kept: no interval."
    mean = compare(before, found, model.higher_is_better).mean
    verdict = "better" if mean.low > 0 else "worse" if mean.high < 0 else "cannot tell"
    return (
        f"Budget against uniform, {model.monitor}: {mean.value:+.4f} "
        f"[{mean.low:+.4f}, {mean.high:+.4f}] (95 %, above 0 is better): {verdict}"
    )
