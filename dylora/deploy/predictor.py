"""A trained model that is asked in plain words."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, cast

import torch
from PIL import Image
from torch import Tensor, nn

from dylora.adapters.active_rank import rank_state, set_rank
from dylora.data.batching import CompletionCollator
from dylora.data.chat import ChatEncoder, ChatTemplate
from dylora.data.completion import CompletionEncoder, limits
from dylora.data.images import decode, upright
from dylora.data.sentences import token_limit
from dylora.decoding import DecodingConfig, end_token_ids, generate_at_ranks, text_of
from dylora.deploy.adapter_folder import AdapterRecord
from dylora.errors import InputError
from dylora.modules.image_classification import image_logits

Kind = Literal["classes", "score", "text", "images", "other"]
Answer = dict[str, Any]
_MAX_LENGTH, _MAX_CONTEXT = 512, 448  # as the data modules have them


class Predictor:
    """A trained model with what it needs to be asked.

    Calling it predicts at the active rank: sentences or pairs of sentences give `label` and `probabilities`, or
    `score`; a prompt gives `text`; an image gives `label` and `probabilities`. One input gives one answer, a list of
    inputs a list of answers.

    Args:
        model: The model, with its adapters; it is put into evaluation mode.
        record: What is known of it.
        preprocessor: Its tokenizer or image processor; None where there is none.

    Attributes:
        model: The model.
        record: What is known of it, as `dylora.json` has it.
        preprocessor: Its tokenizer or image processor.
        labels: Names of the classes in the order of their ids.
        batch_size: Inputs of one forward.
    """

    def __init__(self, model: nn.Module, record: AdapterRecord, preprocessor: Any = None) -> None:  # noqa: ANN401
        self.model = model.eval()
        self.record = record
        self.preprocessor = preprocessor
        self.labels = tuple(record.labels)
        self.batch_size = 32

    @property
    def tokenizer(self) -> Any:  # noqa: ANN401
        """The tokenizer; None for a model of images, or where none is known."""
        return None if self.kind == "images" else self.preprocessor

    @property
    def processor(self) -> Any:  # noqa: ANN401
        """The image processor; None for a model of text."""
        return self.preprocessor if self.kind == "images" else None

    @property
    def kind(self) -> Kind:
        """What it answers: a class, a score, a text, the class of an image, or nothing that is known."""
        model = cast(Any, self.model)
        name = type(model).__name__
        if getattr(model, "main_input_name", "") == "pixel_values":
            return "images" if "ImageClassification" in name else "other"
        if "ForSequenceClassification" in name:
            return "score" if model.config.num_labels == 1 else "classes"
        embedding = getattr(model, "get_output_embeddings", lambda: None)()
        return "text" if embedding is not None and hasattr(model, "generate") else "other"

    @property
    def ranks(self) -> tuple[int, ...]:
        """The ranks that it can be asked at."""
        return tuple(rank_state(self.model).config.ranks)

    @property
    def rank(self) -> int:
        """The active rank."""
        return cast(int, rank_state(self.model).rank)

    def set_rank(self, rank: int) -> "Predictor":
        """Answer at another rank from now on.

        Returns:
            This object.

        Raises:
            InputError: If the rank is outside the range.
        """
        set_rank(self.model, rank)
        return self

    @torch.inference_mode()
    def __call__(self, inputs: Any, second: Any = None) -> Any:  # noqa: ANN401
        """Predict.

        Args:
            inputs: A sentence, a prompt or an image (of Pillow, or its path); or a list of them. A model that was
                trained on conversations takes lists of messages, too; to it a prompt is a message of the user's.
            second: The second sentences of pairs: one sentence, or as many as there are inputs.

        Returns:
            An answer, or a list of answers.

        Raises:
            InputError: If the inputs are of another kind than the model's, or it has no tokenizer.
        """
        is_conversation = isinstance(inputs, list) and bool(inputs) and isinstance(inputs[0], dict)
        if is_conversation or not isinstance(inputs, list | tuple):
            single: Answer = self([inputs], None if second is None else [second])[0]
            return single
        self._check(inputs, second)
        answer = {"text": self._texts, "images": self._images}.get(self.kind, self._sentences)
        found: list[Answer] = []
        for start in range(0, len(inputs), self.batch_size):
            part = slice(start, start + self.batch_size)
            columns = [list(inputs[part])] + ([] if second is None else [list(second[part])])
            found += answer(*columns)
        return found

    def _check(self, inputs: Sequence[Any], second: Any) -> None:  # noqa: ANN401
        if self.kind == "other":
            given = type(self.model).__name__
            raise InputError("model", "a classifier or a language model", given, "call its .model with inputs of yours")
        if self.preprocessor is None:
            allowed = "given with a tokenizer or an image processor"
            raise InputError("model", allowed, "none", "set .preprocessor, or save it with dylora.save")
        if second is not None and (isinstance(second, str) or len(second) != len(inputs)):
            raise InputError("second", f"as many sentences as there are inputs, {len(inputs)}", second, "give a list")
        if second is not None and self.kind in ("text", "images"):
            raise InputError("second", "left out but for pairs of sentences", second, "leave it out")
        if self.kind != "images" and not self._is_chat:
            for text in [*inputs, *(second or ())]:
                if not isinstance(text, str):
                    raise InputError("inputs", "text", f"{text!r} ({type(text).__name__})", "give strings")

    def _sentences(self, *columns: list[str]) -> list[Answer]:
        limit = token_limit(self.preprocessor, self.record.limits.get("max_length", _MAX_LENGTH), len(columns))
        encoded = self.preprocessor(*columns, truncation=True, max_length=limit, padding=True, return_tensors="pt")
        return [self._answer(row) for row in cast(Tensor, self.model(**self._moved(encoded)).logits).float()]

    def _images(self, images: list[Any]) -> list[Answer]:
        pixels = self.preprocessor(images=[_image(each) for each in images], return_tensors="pt")["pixel_values"]
        return [self._answer(row) for row in image_logits(self.model, self._moved({"pixel_values": pixels})).float()]

    def _moved(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        device = next(self.model.parameters()).device
        return {name: value.to(device) for name, value in inputs.items()}

    def _answer(self, row: Tensor) -> Answer:
        if len(row) == 1:
            return {"score": float(row[0])}
        labels = self.labels or tuple(map(str, range(len(row))))
        shares = torch.softmax(row, -1).tolist()
        return {"label": labels[int(row.argmax())], "probabilities": dict(zip(labels, shares, strict=True))}

    @property
    def _is_chat(self) -> bool:
        return bool(self.record.text_form.get("is_chat"))

    def _texts(self, prompts: list[Any]) -> list[Answer]:
        model, tokenizer = cast(Any, self.model), self.preprocessor
        both = bool(model.config.is_encoder_decoder)
        window = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        wanted = self.record.limits
        cut = limits(tokenizer, window, wanted.get("max_length", _MAX_LENGTH), wanted.get("max_context", _MAX_CONTEXT))
        form = self.record.text_form
        if self._is_chat:
            template = ChatTemplate(tokenizer, self.record.backbone["name"])
            rows = ChatEncoder(template, cut).prompts([template.prompt(_messages(each), "inputs") for each in prompts])
        else:
            rows = CompletionEncoder(tokenizer, both, cut).prompts(prompts)
        end_ids = tuple(form["end_ids"]) if form else end_token_ids(tokenizer)
        pad_id = cast(int, tokenizer.pad_token_id)
        collate = CompletionCollator(pad_id, "right" if both else "left")
        batch = collate([{"input_ids": row.input_ids, "index": place} for place, row in enumerate(rows)])
        device = next(self.model.parameters()).device
        ids, mask = batch["input_ids"].to(device), batch["attention_mask"].to(device)
        written = generate_at_ranks(model, ids, mask, [self.rank], self._decoding(), end_ids, pad_id)
        return [{"text": text_of(tokenizer, tokens, not form)} for tokens in written[0]]

    def _decoding(self) -> DecodingConfig:
        known = {each.name for each in fields(DecodingConfig)}
        return DecodingConfig(**{key: value for key, value in (self.record.decoding or {}).items() if key in known})


def _image(given: Any) -> Any:  # noqa: ANN401
    """A picture as the data module has it: read if it is a path, upright and in RGB."""
    if isinstance(given, str | Path):
        return decode({"path": str(given)}, str(given))
    return upright(given) if isinstance(given, Image.Image) else given


def _messages(prompt: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A conversation to be answered."""
    return [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
