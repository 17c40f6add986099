"""Several products with one input: what is computed once for all of them."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.pytorch_utils import Conv1D

from dylora import adapt, set_rank
from dylora.adapters.config import DyLoRAConfig

WIDTH, ROWS = 8, 5


class Casts(TorchDispatchMode):
    """Counts the casts of tensors with so many rows."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten._to_copy.default and args[0].shape[0] == ROWS:
            self.count += 1
        return function(*args, **(kwargs or {}))


class Attention(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.c_attn = Conv1D(3 * WIDTH, WIDTH)

    def forward(self, x):
        return self.c_attn(x)


def test_an_input_of_another_type_is_cast_once_for_query_and_value():
    net = adapt(Attention(), DyLoRAConfig(2, alpha=2, target_modules=["c_attn[q,v]"])).half().eval()
    for name, parameter in net.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.float()
    set_rank(net, 2)
    with torch.no_grad(), Casts() as casts:
        net(torch.randn(ROWS, WIDTH, dtype=torch.float16))
    to_half = 2  # each product, for the output
    assert casts.count <= 1 + to_half
