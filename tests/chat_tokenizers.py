"""Tokenizers with a chat template, small enough to read their ids off."""

from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast
from word_tokenizers import word_tokenizer

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""That of Qwen and SmolLM."""

GEMMA = (
    "{{ bos_token }}"
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{% set role = 'model' if m['role'] == 'assistant' else m['role'] %}"
    "{{ '<start_of_turn>' + role + '\n' + m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)

LLAMA2 = (
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'] + ' ' + eos_token }}{% endif %}{% endfor %}"
)
"""That of Llama 2 and Mistral: nothing is written before an answer."""

BARE = "{% for m in messages %}{{ m['content'] + '\n' }}{% endfor %}"
"""One that ends a turn with no special token."""

ROLES = ("system", "user", "assistant", "model", "[INST]", "[/INST]")


def chat_tokenizer(template: str | None, **special: str | None) -> PreTrainedTokenizerFast:
    """The tokenizer of words, with the marks of all templates as ids from 104 on, then the names of the roles."""
    tokenizer = word_tokenizer(**special)
    marks = ["<|im_start|>", "<|im_end|>", "<start_of_turn>", "<end_of_turn>"]
    tokenizer.add_tokens([AddedToken(mark, special=True) for mark in marks])
    tokenizer.add_tokens(list(ROLES))
    tokenizer.chat_template = template
    return tokenizer
