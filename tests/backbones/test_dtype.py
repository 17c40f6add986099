"""Backbones held in bf16: half the bytes, trained parts in fp32, the same figures from files."""

import json
from importlib.util import find_spec

import pytest
import torch
from lightning.pytorch import Trainer
from safetensors.torch import load_file
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM

import dylora
from dylora import DyLoRAConfig, InputError
from dylora.adapters.active_rank import rank_state
from dylora.adapters.sorting import sort_
from dylora.assets import asset_path
from dylora.backbones.dtype import check_precision_of
from dylora.cli import main
from dylora.data.table_to_text import RestaurantTextDataModule
from dylora.decoding import generate_at_ranks
from dylora.deploy.merged_folder import write_merged
from dylora.methods.flop import FLOP
from dylora.methods.full import FullFineTuning
from dylora.modules.classification import SequenceClassificationModule
from dylora.modules.generation import GenerationModule

ADAPTER = DyLoRAConfig(max_rank=4, alpha=8)
KINDS = {"text": GenerationModule, "sentences": SequenceClassificationModule}


def _module(kind, dtype="bf16", **options):
    torch.manual_seed(0)
    module = KINDS[kind](adapter=ADAPTER, backbone_dtype=dtype, **options)
    generator = torch.Generator().manual_seed(7)
    for name, parameter in module.model.named_parameters():
        if "lora_" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
    return module


def _batch(kind):
    ids = torch.randint(5, 200, (3, 9), generator=torch.Generator().manual_seed(1))
    labels = ids if kind == "text" else torch.tensor([0, 1, 0])
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


def _bytes(model):
    return sum(p.numel() * p.element_size() for p in model.parameters() if not p.requires_grad)


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_weights_are_the_rounded_ones_in_half_the_bytes_and_what_is_trained_is_in_fp32(kind):
    wide, half = _module(kind, "fp32").model, _module(kind).model
    assert 2 * _bytes(half) == _bytes(wide)
    for (name, a), (_, b) in zip(wide.named_parameters(), half.named_parameters(), strict=True):
        assert b.dtype == (torch.float32 if b.requires_grad else torch.bfloat16), name
        if not b.requires_grad:
            assert torch.equal(a.bfloat16(), b), name


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_losses_and_gradients_are_those_of_fp32_to_rounding(kind, autocast):
    found = {}
    for dtype in ("fp32", "bf16"):
        module = _module(kind, dtype).eval()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast and dtype == "bf16"):
            losses, _ = module.losses_of(_batch(kind), 1)
        losses.sum().backward()
        grads = {n: p.grad for n, p in module.model.named_parameters() if p.grad is not None}
        assert all(grad.dtype == torch.float32 for grad in grads.values())
        found[dtype] = losses.detach(), grads
    torch.testing.assert_close(*(losses for losses, _ in found.values()), rtol=0.02, atol=0.02)
    assert found["fp32"][1].keys() == found["bf16"][1].keys()
    exact, rounded = (torch.cat([grad.flatten() for grad in grads.values()]) for _, grads in found.values())
    assert (exact - rounded).norm() <= 0.05 * exact.norm()


@pytest.mark.parametrize("kind", KINDS)
def test_autocast_casts_no_frozen_matrix_of_a_bf16_backbone(kind):
    module = _module(kind)
    frozen = {p.data_ptr() for p in module.model.parameters() if not p.requires_grad}
    with torch.autocast("cpu", torch.bfloat16), _Casts() as casts:
        module.losses_of(_batch(kind), 1)
    assert casts.places
    assert not casts.places & frozen


class _Casts(TorchDispatchMode):
    """Where the tensors lie that are cast."""

    def __init__(self):
        super().__init__()
        self.places = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._to_copy.default:
            self.places.add(args[0].data_ptr())
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", KINDS)
def test_all_ranks_in_one_batch_are_those_one_by_one(kind):
    module = _module(kind).eval()
    with torch.inference_mode():
        together = {rank: float(loss) for rank, loss, _ in module.outputs_at_ranks(_batch(kind))}
        assert rank_state(module.model).row_checks == {"forward": True}
        alone = {rank: float(module._run(_batch(kind), [rank])[0]) for rank in together}
    assert together == pytest.approx(alone, rel=0.01)
    assert len(set(together.values())) > 1


def test_text_is_generated_at_every_rank():
    module = _module("text", max_new_tokens=4, num_beams=2).eval()
    batch = _batch("text")
    ids, mask = batch["input_ids"], batch["attention_mask"]
    made = generate_at_ranks(module.model, ids, mask, (1, 4), module.decoding, (1,), 0)
    assert [len(rows) for rows in made] == [3, 3]


def test_sorting_keeps_the_product_of_the_factors():
    model = _module("text").model
    layers = [m for m in model.modules() if hasattr(m, "base_layer")]
    dylora.set_rank(model, 4)
    before = [layer.delta_weight(4) for layer in layers]
    sort_(model)
    for old, layer in zip(before, layers, strict=True):
        torch.testing.assert_close(layer.delta_weight(4), old)


@pytest.mark.parametrize("method", [FullFineTuning(), FLOP()])
def test_what_is_trained_whole_stays_in_fp32(method):
    with pytest.raises(InputError, match=r"model.backbone_dtype: must be fp32 with method (Full|FLOP)"):
        _module("sentences", method=method)


def test_other_values_and_a_quantised_backbone_are_refused():
    with pytest.raises(InputError, match=r"model.backbone_dtype: must be fp32 or bf16, got 'fp16'"):
        _module("text", "fp16")
    with pytest.raises(
        InputError, match=r"must be fp32 for a quantised backbone, got bf16 with model.quantization nf4"
    ):
        _module("text", quantization="nf4")


@pytest.mark.parametrize("precision", ["16-mixed", "bf16-true", "64-true"])
def test_precisions_that_would_change_the_types_are_refused(precision):
    check_precision_of(_module("text", "fp32").model, precision)
    with pytest.raises(
        InputError, match=r"--trainer.precision: must be 32-true or bf16-mixed with model.backbone_dtype"
    ):
        check_precision_of(_module("text").model, precision)


def test_a_merged_copy_keeps_the_backbones_type_and_is_rounded_once(tmp_path):
    model = _module("text").model
    layer = next(m for m in model.modules() if hasattr(m, "base_layer"))
    name = next(n for n, m in model.named_modules() if m is layer) + ".weight"
    delta = layer.delta_weight(2)
    exact = layer.base_layer.weight.float() + delta.T  # GPT-2's weights lie (in, out)
    for dtype, expected in ((None, exact.bfloat16()), ("float32", exact)):
        write_merged(tmp_path / str(dtype), model, 2, dtype)
        written = load_file(tmp_path / str(dtype) / "model.safetensors")[name]
        assert torch.equal(written, expected)
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "None", dtype="auto").dtype == torch.bfloat16


def test_a_head_computes_in_fp32_and_a_plain_model_still_runs():
    module = _module("sentences").eval()
    seen = []
    head = next(m for n, m in module.model.named_modules() if isinstance(m, nn.Linear) and n.startswith("classifier"))
    head.register_forward_hook(lambda m, args, out: seen.append((args[0].dtype, out.dtype)))
    inputs = {k: v for k, v in _batch("sentences").items() if k != "labels"}
    module.model(**inputs)
    assert seen == [(torch.float32, torch.float32)]
    assert dylora.unload(module.model, 2)(**inputs).logits.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_is_moved_to_one_type_computes_in_it(kind, dtype):
    model = _module(kind).eval().model.to(dtype)
    inputs = {k: v for k, v in _batch(kind).items() if k != "labels"}
    with torch.no_grad():
        logits = model(**inputs).logits
    assert logits.dtype == dtype
    assert logits.isfinite().all()


def _trainer(folder, precision):
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "max_steps": 1}
    options |= {"limit_val_batches": 1, "num_sanity_val_steps": 0, "enable_model_summary": False}
    return Trainer(accelerator="cpu", precision=precision, default_root_dir=folder, **options)


def _loader():
    rows = [{key: value[place] for key, value in _batch("sentences").items()} for place in range(3)]
    return DataLoader([{**row, "index": place} for place, row in enumerate(rows)], batch_size=3)


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_command_refuses_a_precision_that_does_not_fit_the_backbones_type(kind, command, tmp_path):
    data = {"dataloaders": _loader()} if kind == "sentences" else {"datamodule": RestaurantTextDataModule()}
    if kind == "sentences" and command == "fit":
        data = {"train_dataloaders": _loader(), "val_dataloaders": _loader()}
    with pytest.raises(InputError, match=r"--trainer.precision: must be 32-true or bf16-mixed .* got bf16-true"):
        getattr(_trainer(tmp_path, "bf16-true"), command)(_module(kind), **data)


def test_a_backbone_in_fp32_is_trained_and_validated_in_bf16_true(tmp_path):
    module = _module("sentences", "fp32")
    _trainer(tmp_path, "bf16-true").fit(module, _loader(), _loader())
    assert module.model.dtype == torch.bfloat16
    (figures,) = _trainer(tmp_path, "bf16-true").validate(module, _loader(), verbose=False)
    assert 0 < figures["val/loss/mean"] < 10


RUN = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "3", "--trainer.limit_val_batches", "2"]
RUN += ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--trainer.logger", "false"]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_in_bf16_is_validated_exported_and_loaded_in_bf16_again(kind, precision, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = [] if kind == "sentences" else ["--model", "GenerationModule", "--data", "RestaurantTextDataModule"]
    options += ["--data.generate_examples", "0"] if kind == "text" else []
    options += ["--model.backbone_dtype", "bf16", "--trainer.precision", precision]
    options += ["--model.gradient_checkpointing", "true"]
    main(["fit", *options, *RUN])
    (config,) = tmp_path.glob("logs/**/config.yaml")
    run = config.parent
    trained = json.loads((run / "rank_metrics.json").read_text())["last"]["metrics"]["loss"]
    capsys.readouterr()
    validate = ["validate", "--config", str(config), "--ckpt_path", str(run / "checkpoints" / "last.ckpt")]
    main([*validate, "--trainer.logger", "false"])
    (validated,) = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("loss")]
    assert validated[1 : 1 + len(trained)] == [f"{loss:.4f}" for loss in trained.values()]
    loaded = dylora.load(run)
    assert loaded.model.dtype == torch.bfloat16
    dylora.save(loaded, tmp_path / "kept")
    again = dylora.load(tmp_path / "kept")
    inputs = {k: v for k, v in _batch(kind).items() if k != "labels"}
    for rank in (1, 2):
        outputs = [each.model.eval() for each in (loaded, again)]
        for model in outputs:
            dylora.set_rank(model, rank)
        assert torch.equal(*(model(**inputs).logits for model in outputs))
    types = [{n: p.dtype for n, p in each.model.named_parameters()} for each in (loaded, again)]
    assert types[0] == types[1]
    main(["export", str(run), "--rank", "1", "--format", "peft", "--output", str(tmp_path / "peft")])
    assert 'dtype="bfloat16"' in (tmp_path / "peft" / "README.md").read_text()
    with pytest.raises(SystemExit):
        main([*validate, "--model.backbone_dtype", "fp32"])
    assert "trained on a backbone in fp32, got one trained in bf16; set --model.backbone_dtype bf16" in (
        capsys.readouterr().err
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")  # PEFT asks by the old name
@pytest.mark.skipif(find_spec("peft") is None, reason="peft is not installed")
def test_peft_has_our_logits_on_a_backbone_in_bf16(tmp_path):
    from peft import PeftModel

    from dylora.adapters.export import peft_adapter
    from dylora.deploy.peft_folder import write_peft

    model = _module("text").model.eval()
    (tmp_path / "peft").mkdir()
    write_peft(tmp_path / "peft", peft_adapter(model, 2, str(asset_path("gpt2")), None))
    base = AutoModelForCausalLM.from_pretrained(asset_path("gpt2"), dtype="bfloat16")
    theirs = PeftModel.from_pretrained(base, tmp_path / "peft").eval()
    dylora.set_rank(model, 2)
    ids = _batch("text")["input_ids"]
    with torch.no_grad():
        found, expected = (each(input_ids=ids).logits.float() for each in (theirs, model))
    torch.testing.assert_close(found, expected, rtol=0.05, atol=0.1)
