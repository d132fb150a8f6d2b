"""What PyTorch's side of several measurements has in common."""

import torch

DECAY = 0.05


def optimizer(model: torch.nn.Module, rate: float) -> torch.optim.AdamW:
    """AdamW as the trainer has it: weight decay on tensors of two and more dimensions."""
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": decayed, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate)
