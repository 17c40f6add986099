"""A model of one's own loop, kept in a folder and loaded again: equal outputs at every rank."""

import json
import subprocess

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

import dylora
from dylora import DyLoRAConfig, InputError
from dylora.assets import asset_path
from dylora.deploy.adapter_folder import read_folder
from dylora.deploy.checksums import check_sums, write_sums


class WithBatchNorm(nn.Module):
    """A head with running statistics, as anybody could write one."""

    base_model_prefix = "body"

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8))
        self.norm = nn.BatchNorm1d(8)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.norm(self.body(x)))


def _train(model, inputs, steps=3):
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.05)
    model.train()
    for step in range(steps):
        dylora.set_rank(model, 1 + step % 4)
        out = model(**inputs) if isinstance(inputs, dict) else model(inputs)
        loss = getattr(out, "logits", out).float().square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


def _outputs(model, inputs):
    found = []
    for rank in range(1, 5):
        with dylora.use_rank(model, rank), torch.no_grad():
            out = model(**inputs) if isinstance(inputs, dict) else model(inputs)
        found.append(getattr(out, "logits", out))
    return torch.stack(found)


def test_a_module_of_ones_own_with_its_head_and_running_statistics(tmp_path):
    torch.manual_seed(3)
    before = WithBatchNorm()
    start = {name: tensor.clone() for name, tensor in before.state_dict().items()}
    model = _train(dylora.adapt(before, DyLoRAConfig(max_rank=4, target_modules=["body.*"])), torch.randn(16, 6) + 5)
    x = torch.randn(5, 6)
    folder = dylora.save(model, tmp_path / "kept")
    assert {"norm.running_mean", "norm.running_var", "head.weight"} <= load_file(folder / "adapter.safetensors").keys()
    fresh = WithBatchNorm()
    fresh.load_state_dict(start)
    loaded = dylora.load(folder, model=fresh)
    assert loaded.model is fresh
    assert torch.equal(_outputs(fresh, x), _outputs(model, x))
    assert len({tuple(row.flatten().tolist()) for row in _outputs(fresh, x)}) == 4  # the ranks differ


@pytest.mark.parametrize(
    ("auto", "asset"), [(AutoModelForSequenceClassification, "roberta"), (AutoModelForCausalLM, "gpt2")]
)
def test_a_model_of_transformers_needs_nothing_but_the_folder(tmp_path, auto, asset):
    torch.manual_seed(0)
    more = {"num_labels": 3} if asset == "roberta" else {}
    base = auto.from_pretrained(asset_path(asset), **more)
    tokenizer = AutoTokenizer.from_pretrained(asset_path(asset))
    inputs = dict(tokenizer("a small test", return_tensors="pt"))
    model = _train(dylora.adapt(base, DyLoRAConfig(max_rank=4, alpha=8, scaling="alpha/b")), inputs)
    folder = dylora.save(model, tmp_path / "kept", preprocessor=tokenizer)
    loaded = dylora.load(folder)
    assert torch.equal(_outputs(loaded.model, inputs), _outputs(model, inputs))
    assert loaded.tokenizer("a small test")["input_ids"] == tokenizer("a small test")["input_ids"]
    again = dylora.load(dylora.save(loaded, tmp_path / "again"))  # what was loaded can be saved
    assert torch.equal(_outputs(again.model, inputs), _outputs(model, inputs))


def test_the_file_names_the_adapter_whole_and_the_backbone(tmp_path):
    base = AutoModelForCausalLM.from_pretrained(asset_path("gpt2"))
    config = DyLoRAConfig(max_rank=4, min_rank=2, dropout=0.1, target_modules=("c_attn[q,v]",))
    folder = dylora.save(dylora.adapt(base, config), tmp_path / "kept", task="mine")
    content = json.loads((folder / "dylora.json").read_text())
    assert content["format"] == 1
    assert DyLoRAConfig(**content["adapter"]) == DyLoRAConfig(
        max_rank=4, min_rank=2, dropout=0.1, target_modules=["c_attn[q,v]"]
    )
    assert content["backbone"]["name"] == "builtin/gpt2"
    assert content["model_class"].endswith("GPT2LMHeadModel")
    width = base.config.n_embd
    assert content["layers"]["transformer.h.0.attn.c_attn"] == {"q": [1, 0, width], "v": [1, 2 * width, width]}


def _small(folder):
    model = dylora.adapt(WithBatchNorm(), DyLoRAConfig(max_rank=4, target_modules=["body.*"]))
    return dylora.save(model, folder)


def test_what_is_there_is_not_written_over(tmp_path):
    _small(tmp_path / "kept")
    with pytest.raises(InputError, match="a new folder or an empty one"):
        _small(tmp_path / "kept")


def test_a_folder_of_a_class_of_ones_own_asks_for_the_model(tmp_path):
    folder = _small(tmp_path / "kept")
    with pytest.raises(InputError, match=r"dylora.load\(folder, model=…\)"):
        dylora.load(folder)


def test_another_backbone_and_another_shape_are_refused(tmp_path):
    folder = _small(tmp_path / "kept")
    with pytest.raises(InputError, match="another one"):
        dylora.load(folder, model=WithBatchNorm())  # other random weights
    with pytest.raises(InputError, match="target_modules"):
        dylora.load(folder, model=nn.Sequential(nn.Linear(6, 8)))


def test_damaged_files_are_named(tmp_path):
    folder = _small(tmp_path / "kept")
    whole = (folder / "adapter.safetensors").read_bytes()
    (folder / "adapter.safetensors").write_bytes(whole[:-7])
    with pytest.raises(InputError, match=r"adapter.safetensors: .* missing or damaged"):
        dylora.load(folder, model=WithBatchNorm())
    (folder / "dylora.json").write_text("{")
    with pytest.raises(InputError, match=r"dylora.json: .* missing or damaged"):
        dylora.load(folder)


def test_a_class_outside_transformers_is_never_imported(tmp_path):
    folder = _small(tmp_path / "kept")
    content = json.loads((folder / "dylora.json").read_text())
    del content["digests"]
    (folder / "dylora.json").write_text(json.dumps({**content, "model_class": "antigravity.x", "model_config": {}}))
    with pytest.raises(InputError, match="a class of one's own"):
        dylora.load(folder)


def _content(folder):
    return json.loads((folder / "dylora.json").read_text())


@pytest.mark.parametrize("part", ["adapter.safetensors", "dylora.json"])
def test_each_flipped_bit_is_refused_or_changes_nothing(tmp_path, part):
    folder = _small(tmp_path / "kept")
    record, state = read_folder(folder)
    whole, refused = (folder / part).read_bytes(), 0
    for place in range(0, len(whole), 9):
        (folder / part).write_bytes(whole[:place] + bytes([whole[place] ^ (1 << place % 8)]) + whole[place + 1 :])
        try:
            found, read = read_folder(folder)
        except InputError:
            refused += 1
        else:
            assert found == record
            assert all(torch.equal(read[name], tensor) for name, tensor in state.items())
    assert refused > 0.9 * len(whole) / 9


def test_weights_of_another_type_shape_name_or_place_are_refused(tmp_path):
    folder = _small(tmp_path / "kept")
    state = load_file(folder / "adapter.safetensors")
    first, second = "norm.running_mean", "norm.running_var"
    assert not torch.equal(state[first], state[second])
    for changed in (
        {**state, first: state[second], second: state[first]},
        {**state, first: torch.nextafter(state[first], torch.tensor(9.0))},
        {name: tensor.double() for name, tensor in state.items()},
        {name: tensor.reshape(-1) for name, tensor in state.items()},
        dict(list(state.items())[1:]),
        {**state, "more": torch.ones(1)},
    ):
        save_file(changed, folder / "adapter.safetensors")
        with pytest.raises(InputError, match=r"kept: must be as it was written, got a folder in which"):
            dylora.load(folder, model=WithBatchNorm())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_older_folder_is_read_with_a_notice_and_refused_where_it_is_not_finite(tmp_path, caplog, value):
    folder = _small(tmp_path / "kept")
    content = {name: item for name, item in _content(folder).items() if name != "digests"}
    (folder / "dylora.json").write_text(json.dumps(content))
    with caplog.at_level("INFO"):
        read_folder(folder)
    assert "kept holds no digests" in caplog.text
    state = load_file(folder / "adapter.safetensors")
    state["head.weight"][0, 0] = value
    save_file(state, folder / "adapter.safetensors")
    with pytest.raises(InputError, match=r"adapter.safetensors: .*head.weight is NaN or infinite"):
        read_folder(folder)


@pytest.mark.parametrize(
    ("field", "value"),
    [("adapter", None), ("adapter", 3), ("adapter", {"max_rank": "8"}), ("layers", []), ("labels", "a"), ("dtype", 3)],
)
def test_an_older_folder_with_missing_or_ill_typed_fields_is_refused(tmp_path, field, value):
    folder = _small(tmp_path / "kept")
    content = {name: item for name, item in _content(folder).items() if name != "digests"}
    if value is None:
        del content[field]
    else:
        content[field] = value
    (folder / "dylora.json").write_text(json.dumps(content))
    with pytest.raises(InputError):
        dylora.load(folder, model=WithBatchNorm())


def test_checksums_name_the_file_that_changed_and_leave_the_card_alone(tmp_path):
    folder = _small(tmp_path / "kept")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "README.md").write_text("card")
    write_sums(folder)
    done = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=False)
    assert done.returncode == 0
    (folder / "README.md").write_text("edited")
    (folder / "notes").write_text("new")
    check_sums(folder)
    (folder / "tokenizer.json").write_text("[]")
    with pytest.raises(
        InputError, match=r"tokenizer.json: must be the file that SHA256SUMS lists, got one that changed"
    ):
        dylora.load(folder, model=WithBatchNorm())
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"tokenizer.json: must be the file that SHA256SUMS lists, got none"):
        check_sums(folder)
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  ../../etc/hostname\n")
    with pytest.raises(InputError, match=r"SHA256SUMS: .* got one with other lines"):
        check_sums(folder)
