"""Fixtures of all tests: no network, one thread, checked shapes, tiny models of every architecture."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jaxtyping
import pytest
import torch
from torch import nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Before any import of the package and of transformers: no test module is imported yet.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
# Checks the shapes at run time; an int is a float as in PEP 484.
_CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
jaxtyping.install_import_hook(["dylora.adapters.functional"], _CHECKER)

_ENCODER = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 32,
}
_DECODER = {**_ENCODER, "num_key_value_heads": 1, "head_dim": 8}
_T5 = {"vocab_size": 40, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2}
_BART = {
    **{f"{part}_layers": 2 for part in ("encoder", "decoder")},
    **{f"{part}_attention_heads": 2 for part in ("encoder", "decoder")},
    **{f"{part}_ffn_dim": 24 for part in ("encoder", "decoder")},
    **{"vocab_size": 40, "d_model": 16, "max_position_embeddings": 32},
}
_DEBERTA = {
    **_ENCODER,
    "relative_attention": True,
    "share_att_key": True,
    "pos_att_type": ["c2p", "p2c"],
    "position_buckets": 8,
}
_CONFIGS: dict[str, dict[str, Any]] = {
    "albert": {**_ENCODER, "embedding_size": 8},
    "bart": _BART,
    "bert": _ENCODER,
    "camembert": _ENCODER,
    "deberta-v2": _DEBERTA,
    "distilbert": {"vocab_size": 40, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24},
    "electra": {**_ENCODER, "embedding_size": 16},
    "gemma": _DECODER,
    "gpt2": {"vocab_size": 40, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32},
    "llama": _DECODER,
    "mistral": _DECODER,
    "mt5": _T5,
    "opt": {**_ENCODER, "word_embed_proj_dim": 16, "ffn_dim": 24},
    "qwen2": _DECODER,
    "qwen3": _DECODER,
    "roberta": _ENCODER,
    "t5": _T5,
    "xlm-roberta": _ENCODER,
}


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def make_model() -> Callable[..., "PreTrainedModel"]:
    """Build a tiny model with random weights and 2 layers of width 16, without dropout.

    Called with a model type and an auto class (`AutoModelForSequenceClassification` if left out, with 3 labels).
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification

    def make(model_type: str, auto: Any = AutoModelForSequenceClassification, **changes: Any) -> "PreTrainedModel":
        ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
        if model_type in ("t5", "mt5", "bart"):
            ids["decoder_start_token_id"] = 0
        config = AutoConfig.for_model(model_type, **{**_CONFIGS[model_type], **ids, "num_labels": 3, **changes})
        model: PreTrainedModel = auto.from_config(config)
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        return model.eval()

    return make


@pytest.fixture
def token_ids() -> torch.Tensor:
    """Three rows of six tokens that every tiny model takes: begin, four words, end."""
    return torch.tensor([[1, 5, 6, 7, 8, 2], [1, 9, 8, 11, 12, 2], [1, 9, 30, 5, 39, 2]])


@pytest.fixture
def randomise() -> Callable[[nn.Module], nn.Module]:
    """Give all adapter weights random values, so that `lora_B` is not zero."""

    def fill(model: nn.Module) -> nn.Module:
        generator = torch.Generator().manual_seed(7)
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.data = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype) * 0.3
        return model

    return fill


@pytest.fixture
def adapted(
    make_model: Callable[..., "PreTrainedModel"], randomise: Callable[[nn.Module], nn.Module]
) -> Callable[..., Any]:
    """Build a tiny adapted model with random factors; the same base weights at every call.

    Called with what `make_model` takes, and a `config` (max_rank 4, alpha 8, the paper's scaling if left out).
    """
    from dylora.adapters.adapt import adapt
    from dylora.adapters.config import DyLoRAConfig

    def make(model_type: str = "bert", *args: Any, config: DyLoRAConfig | None = None, **changes: Any) -> nn.Module:
        torch.manual_seed(0)
        model = make_model(model_type, *args, **changes)
        return randomise(adapt(model, config or DyLoRAConfig(max_rank=4, alpha=8, scaling="alpha/b")))

    return make


@pytest.fixture(scope="session")
def word_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Folder of a tokenizer with one id a word: w0 ... w99 are 4 ... 103, and [CLS] a [SEP] b [SEP] around them."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: place for place, word in enumerate([*special, *(f"w{i}" for i in range(100))])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    folder = tmp_path_factory.mktemp("word_tokenizer")
    fast.save_pretrained(folder)
    return folder
