"""The three roles over one backbone: memory compressor, query reasoner, generator.

Each role is a module of its own. With LoRA the roles hold the *same* frozen backbone parameters and their own
adapters, so which adapter runs is decided by which module is called. Nothing is ever switched: activation
checkpointing, DDP, ZeRO and threads cannot run the wrong adapter. (The released code switches adapters by name
between forward passes of one graph; recomputation in the backward pass then runs whichever was set last.)

Shapes: B rows, T tokens, H hidden, V vocabulary.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from clara_bench import ConfigError, DataError
from clara_bench.io.escaping import shortened
from clara_bench.read import attention
from reference.settings.config import Adapters


class Role(nn.Module):
    """A causal language model with weights of its own: LoRA adapters over shared parameters, or a full copy."""

    def __init__(self, lm: Any, own: Iterable[str]) -> None:
        super().__init__()
        self.lm = lm
        self.own = tuple(own)
        """Names of the parameters that make this role differ from the backbone, in order."""
        self.freeze(False)

    def embed(self, ids_BT: Tensor) -> Tensor:
        """Input embeddings (B, T, H) of token ids."""
        return self.lm.get_input_embeddings()(ids_BT)

    def forward(
        self,
        embeddings_BTH: Tensor,
        mask_BT: Tensor | None = None,
        positions_BT: Tensor | None = None,
        cache: Any = None,
        use_cache: bool = False,
    ) -> tuple[Tensor, Any]:
        """Final hidden states (B, T, H), after the last normalisation, and the attention cache."""
        out = self.lm.base_model(
            inputs_embeds=embeddings_BTH,
            attention_mask=mask_BT,
            position_ids=positions_BT,
            use_cache=use_cache,
            **attention.passed(self.lm.base_model, cache),
        )
        return out.last_hidden_state, attention.kept(out)

    def logits(self, states_PH: Tensor) -> Tensor:
        """Scores (P, V) of the next token."""
        return self.lm.get_output_embeddings()(states_PH)

    def trainable(self) -> dict[str, nn.Parameter]:
        """The role's own parameters by name, frozen or not; never the shared backbone's."""
        parameters = dict(self.lm.named_parameters())
        return {name: parameters[name] for name in self.own}

    def freeze(self, frozen: bool = True) -> None:
        """Freeze the role's own parameters, or unfreeze them; the shared backbone is always frozen."""
        for parameter in self.lm.parameters():
            parameter.requires_grad_(False)
        for parameter in self.trainable().values():
            parameter.requires_grad_(not frozen)

    def checkpoint_activations(self, enabled: bool = True) -> None:
        """Recompute activations in the backward pass instead of keeping them (in training mode only)."""
        new = hasattr(self.lm, "activation_checkpointing_enable")  # its name since transformers 5.23
        name = "activation_checkpointing" if new else "gradient_checkpointing"
        if enabled:
            getattr(self.lm, f"{name}_enable")({"use_reentrant": False})
        else:
            getattr(self.lm, f"{name}_disable")()

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Role:
        """Convert, but keep rotary frequencies in float32: in bfloat16 they misplace distant tokens."""
        kept = [
            (module, name, buffer)
            for module in self.modules()
            for name, buffer in module.named_buffers(recurse=False)
            if name in module._non_persistent_buffers_set and buffer.dtype == torch.float32
        ]
        super()._apply(fn, recurse)
        for module, name, buffer in kept:
            setattr(module, name, buffer.to(getattr(module, name).device))
        return self


def make_roles(model: Any, adapters: Adapters, roles: Iterable[str], seed: int = 0) -> nn.ModuleDict:
    """Make one `Role` per name over a causal language model of transformers, which is frozen and otherwise unchanged.

    Args:
        model: the backbone's model.
        adapters: LoRA adapters, or full copies.
        roles: names.
        seed: of the adapters' initial values, which differ between roles.
    """
    return nn.ModuleDict({name: make_role(model, adapters, name, seed) for name in roles})


def make_role(model: Any, adapters: Adapters, name: str, seed: int = 0, layers: int = 0) -> Role:
    """Make one role (see `make_roles`); an untrained role computes exactly what the backbone does.

    Args:
        model: the backbone's model.
        adapters: LoRA adapters, or full copies.
        name: of the role.
        seed: of the adapters' initial values.
        layers: how many of the backbone's layers the role has, from the first; 0: all.

    Raises:
        ConfigError: the backbone has fewer layers.
    """
    if adapters.kind == "full":
        lm = _cut(copy.deepcopy(model), layers)
        head = lm.get_output_embeddings().weight
        idle = head if name != "generator" and head is not lm.get_input_embeddings().weight else None
        return Role(lm, [name for name, parameter in lm.named_parameters() if parameter is not idle])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int.from_bytes(name.encode()[:4], "big") + seed)
        lm = _adapted(_cut(_shell(model), layers), adapters)
    return Role(lm, [name for name, parameter in lm.named_parameters() if "lora_" in name])


def _shell(model: Any) -> Any:
    """A copy of the modules that shares their parameters and buffers."""
    shared = [*model.parameters(), *model.buffers()]
    return copy.deepcopy(model, {id(tensor): tensor for tensor in shared})


def _cut(lm: Any, layers: int) -> Any:
    """Leave the first layers alone."""
    if layers:
        body = lm.base_model
        there = len(body.layers)
        if layers > there:
            raise ConfigError(f"model.memory.layers is {layers}, the backbone has {there}. Give at most that")
        body.layers = body.layers[:layers]
        lm.config.num_hidden_layers = layers
    return lm


def lora_config(adapters: Adapters) -> Any:
    """Convert our settings to PEFT's."""
    from peft import LoraConfig

    return LoraConfig(
        r=adapters.rank,
        lora_alpha=adapters.alpha,
        lora_dropout=adapters.dropout,
        target_modules=adapters.targets if isinstance(adapters.targets, str) else list(adapters.targets),
        bias="none",
        task_type="CAUSAL_LM",
    )


def _adapted(model: Any, adapters: Adapters) -> Any:
    from peft import inject_adapter_in_model

    try:
        model = inject_adapter_in_model(lora_config(adapters), model).train(model.training)
    except (ValueError, TypeError, re.error) as error:  # `targets` may be a regular expression
        said = shortened(" ".join(str(error).split()), 200)
        raise ConfigError(f"model.adapters.targets is {adapters.targets!r}, which fits no layer: {said}") from error
    for name, parameter in model.named_parameters():
        if "lora_" in name:  # float32 whatever the backbone has, as PEFT itself does
            parameter.data = parameter.data.float()
    return model


def copy_role(source: Role, target: Role) -> None:
    """Copy the weights of `source` to `target`, which may have fewer layers."""
    weights = state(source)
    load_state(target, {_filed(name): weights[_filed(name)] for name in target.trainable()})


def state(role: Role) -> dict[str, Tensor]:
    """The role's own weights by name; for adapters these are the names that PEFT writes.

    Under ZeRO-3 call it inside `deepspeed.zero.GatheredParameters`.
    """
    return {_filed(name): parameter.detach() for name, parameter in role.trainable().items()}


def load_state(role: Role, tensors: Mapping[str, Tensor], where: str = "role weights") -> None:
    """Overwrite the role's own weights; the tensors must match exactly in name and shape.

    Raises:
        DataError: a tensor is missing, unexpected or has another shape.
    """
    parameters = {_filed(name): parameter for name, parameter in role.trainable().items()}
    missing, unexpected = sorted(parameters.keys() - tensors), sorted(tensors.keys() - parameters)
    if missing or unexpected:
        raise DataError(f"{where}: {_count('missing', missing)}, {_count('unexpected', unexpected)}")
    for name, parameter in parameters.items():
        if parameter.shape != tensors[name].shape:
            shapes = f"has shape {tuple(tensors[name].shape)}, expected {tuple(parameter.shape)}"
            raise DataError(f"{where}: {name} {shapes}")
        with torch.no_grad():
            parameter.copy_(tensors[name])


def _filed(name: str) -> str:
    """A parameter's name in files: PEFT's name for adapters."""
    return "base_model.model." + name.replace(".default.", ".") if "lora_" in name else name


def _count(what: str, names: list[str]) -> str:
    return f"{len(names)} tensors {what}" + (f" (such as {names[0]})" if names else "")
