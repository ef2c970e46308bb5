"""A folder as the Hugging Face hub shows it, and sending it there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ff_mm.errors import ConfigError, FFMMError
from ff_mm.exporting.card import CARD_FILE, About, model_card
from ff_mm.exporting.measurement import Measurement
from ff_mm.exporting.safetensors_folder import write_folder
from ff_mm.files import atomic_write, write_json
from ff_mm.inference.trained_model import TrainedModel
from ff_mm.version import __version__

CONFIG_FILE, PREPROCESSING_FILE = 'config.json', 'preprocessor_config.json'
# Of Pillow, as the hub numbers them.
_RESAMPLE = dict(nearest=0, lanczos=1, bilinear=2, bicubic=3, box=4, hamming=5)


class PushError(FFMMError):
    """The hub has not taken a folder."""


def write_hub_folder(
    model: TrainedModel, folder: Path, about: About, measurement: Measurement
) -> list[Path]:
    """Writes weights, config, preprocessing and the card.

    Args:
        model: The model.
        folder: Where to. Other files in it stay, and are sent along.
        about: What people say of it.
        measurement: What it reaches.

    Returns:
        The files.
    """
    files = write_folder(model, folder)
    write_json(_config(model), folder / CONFIG_FILE)
    write_json(_preprocessing(model), folder / PREPROCESSING_FILE)
    files += [folder / CONFIG_FILE, folder / PREPROCESSING_FILE]
    text = model_card(model, about, measurement, [file.name for file in files])
    with atomic_write(folder / CARD_FILE, 'w') as file:
        file.write(text)
    return [*files, folder / CARD_FILE]


def _config(model: TrainedModel) -> dict[str, Any]:
    """What the hub reads of a model; the network itself is in ``deploy.py``."""
    several = model.is_multilabel
    backbone = model.cfg.model.get('backbone') or model.cfg.model
    return dict(
        architectures=[str(model.cfg.model['type'])],
        backbone=str(backbone.get('model_name') or backbone.get('type')),
        id2label={str(i): name for i, name in enumerate(model.classes)},
        label2id={name: i for i, name in enumerate(model.classes)},
        problem_type=f'{"multi" if several else "single"}_label_classification',
        library='mmpretrain',
        ff_mm_version=__version__,
        soup={k: v for k, v in model.soup.items() if k != 'decision'},
    )


def _preprocessing(model: TrainedModel) -> dict[str, Any]:
    """How an image is prepared: in the hub's words where it has them, and in ours."""
    before = model.network.data_preprocessor
    found: dict[str, Any] = dict(
        pipeline=[_plain(step) for step in model.cfg.pipeline],
        channel_order='RGB' if before.to_rgb else 'BGR',
        do_rescale=False,
        do_normalize=getattr(before, 'mean', None) is not None,
    )
    for key in ('mean', 'std'):  # of values from 0 to 255
        if (values := getattr(before, key, None)) is not None:
            found[f'image_{key}'] = [float(value) for value in values.flatten()]
    steps = [dict(s) for s in model.cfg.pipeline]
    names = [str(step['type']).rpartition('.')[2] for step in steps]
    # Anything else the hub's words do not say: then there is no size in them.
    if names[1:] == ['Resize', 'PackInputs'] and 'scale' in steps[1]:
        scale = steps[1]['scale']
        width, height = (scale, scale) if isinstance(scale, int) else scale
        way = steps[1].get('interpolation', 'bilinear')
        found |= dict(do_resize=True, size=dict(height=height, width=width))
        found |= dict(resample=_RESAMPLE.get(way))
    return found


def _plain(step: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value if _is_plain(value) else str(value) for key, value in step.items()
    }


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))


def push(
    folder: Path, repo: str, public: bool = False, endpoint: str | None = None
) -> str:
    """Sends a folder to a repository of the hub, which is made if it is not there.

    Who sends it, huggingface_hub knows: by ``hf auth login`` or HF_TOKEN. The token is
    nowhere printed.

    Args:
        folder: What is sent, all of it.
        repo: Such as ``'name/of-the-model'``.
        public: Whether a repository that is made can be seen by all.
        endpoint: Another hub; None: the usual one, or HF_ENDPOINT.

    Returns:
        The address of the repository.

    Raises:
        ConfigError: huggingface_hub is not installed.
        PushError: The hub has refused it, or cannot be reached.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise ConfigError(
            "--push-to-hub needs huggingface_hub: pip install 'ff_mm[hub]'"
        ) from error
    token = huggingface_hub.get_token()
    if token is None:
        raise PushError(
            f'--push-to-hub {repo}: nobody is logged in: `hf auth login`, or HF_TOKEN'
        )
    api = huggingface_hub.HfApi(endpoint=endpoint)
    try:
        made = api.create_repo(repo, private=not public, exist_ok=True)
        api.upload_folder(
            repo_id=made.repo_id,
            folder_path=folder,
            commit_message=f'ff_mm {__version__}',
        )
    except Exception as error:  # of the network, of many libraries
        reason = str(error).strip().replace(token, '***')
        reason = ' '.join(reason.split())[:200] or type(error).__name__
        raise PushError(f'--push-to-hub {repo}: {reason}') from None
    return str(made)
