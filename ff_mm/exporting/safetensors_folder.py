"""A folder with weights of safetensors and the config that uses them."""

from __future__ import annotations

from pathlib import Path

from ff_mm.files import atomic_write
from ff_mm.fusion.deployment import deployment_config, deployment_notes
from ff_mm.fusion.soup_file import DEPLOY_FILE
from ff_mm.inference.trained_model import WEIGHTS_FILE, TrainedModel
from ff_mm.merging.safetensors_file import write_safetensors
from ff_mm.plain import to_plain
from ff_mm.tasks.loading import own_loading


def write_folder(model: TrainedModel, folder: Path) -> list[Path]:
    """Writes ``model.safetensors`` and ``deploy.py``, by which ff_mm finds it again.

    Args:
        model: The model.
        folder: Where to.

    Returns:
        The files.
    """
    cfg = model.source
    meta = dict(dataset_meta=dict(classes=list(model.classes)))
    for key in ('soup', 'loading'):
        if key in model.meta:
            meta[key] = model.meta[key]
    if loading := own_loading(cfg):
        meta['loading'] = loading
    files = [folder / WEIGHTS_FILE, folder / DEPLOY_FILE]
    write_safetensors(model.weights(), files[0], to_plain(meta))
    if model.files.is_folder:
        text = model.files.config.read_text(encoding='utf-8')
    else:
        lines = ''.join(f'# {note}\n' for note in deployment_notes(cfg))
        text = lines + deployment_config(cfg).pretty_text
    with atomic_write(files[1], 'w') as file:
        file.write(text)
    return files
