"""How others name the weights of the backbones that MMPretrain has too.

A network's layers have the same shapes wherever it is written down, but other names.
A new source of weights is a new row here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ff_mm.merging.wrappers import COMPILED, LIGHTNING, PARALLEL


@dataclass(frozen=True)
class Layout:
    """One way to name the weights of a backbone.

    Attributes:
        name: Whose way it is, for the log.
        renames: Regular expressions and their replacements. All are applied to a key,
            in this order, and give MMPretrain's name.
    """

    name: str
    renames: tuple[tuple[str, str], ...] = ()

    def rename(self, key: str) -> str:
        """Returns MMPretrain's name for a key of this layout."""
        for pattern, replacement in self.renames:
            key = re.sub(pattern, replacement, key)
        return key


# Where several layouts explain a file equally well, the first holds.
LAYOUTS = (
    # MMPretrain's own, and ResNets of torchvision, timm and all that build on theirs.
    Layout('keys as in the model'),
    # timm, DeiT, MAE, MoCo v3, DINO and DINOv2.
    Layout(
        'timm ViT',
        (
            (r'^patch_embed\.proj\.', 'patch_embed.projection.'),
            (r'^norm_pre\.', 'pre_norm.'),
            (r'^norm\.', 'ln1.'),
            (r'^fc_norm\.', 'ln2.'),
            (r'^blocks\.', 'layers.'),
            (r'^(layers\.\d+)\.norm([12])\.', r'\1.ln\2.'),
            (r'\.mlp\.fc1\.', '.ffn.layers.0.0.'),
            (r'\.mlp\.fc2\.', '.ffn.layers.1.'),
            (r'\.(ls1\.gamma|gamma_1)$', '.attn.gamma1.weight'),
            (r'\.(ls2\.gamma|gamma_2)$', '.ffn.gamma2.weight'),
        ),
    ),
    Layout(
        'torchvision ViT',
        (
            (r'^class_token$', 'cls_token'),
            (r'^conv_proj\.', 'patch_embed.projection.'),
            (r'^encoder\.pos_embedding$', 'pos_embed'),
            (r'^encoder\.ln\.', 'ln1.'),
            (r'^encoder\.layers\.encoder_layer_', 'layers.'),
            (r'\.ln_([12])\.', r'.ln\1.'),
            (r'\.self_attention\.in_proj_', '.attn.qkv.'),
            (r'\.self_attention\.out_proj\.', '.attn.proj.'),
            (r'\.mlp\.(0|linear_1)\.', '.ffn.layers.0.0.'),
            (r'\.mlp\.(3|linear_2)\.', '.ffn.layers.1.'),
        ),
    ),
    # nn.Sequential(*resnet.children()): RadImageNet, lightly.
    Layout(
        'numbered ResNet, as RadImageNet',
        (
            (r'^0\.', 'conv1.'),
            (r'^1\.', 'bn1.'),
            (r'^4\.', 'layer1.'),
            (r'^5\.', 'layer2.'),
            (r'^6\.', 'layer3.'),
            (r'^7\.', 'layer4.'),
        ),
    ),
    Layout('timm', ((r'^', 'timm_model.'),)),  # into a TIMMBackbone
)

# What may stand before the names, alone or one within the other, as in
# `module.encoder_q.`. Where a file has the backbone twice, the first holds: of MoCo v1
# and v2 the query encoder, of MoCo v3 the base encoder.
WRAPPERS = (
    PARALLEL,
    COMPILED,
    *LIGHTNING,
    'backbone.',  # MMPretrain's classifiers and self-supervised models, DINO
    'encoder_q.',
    'base_encoder.',
    'encoder.',
    'timm_model.',
    'momentum_encoder.',
)

# Classifiers, which no backbone has.
HEADS = ('fc.', 'head.', 'heads.', 'head_dist.', 'classifier.')
