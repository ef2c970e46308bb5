"""MedMNIST: twelve medical data sets of small images, in arrays."""

from __future__ import annotations

import os
import warnings
from typing import Any, NamedTuple

import numpy as np
from mmpretrain.registry import DATASETS

from ff_mm.datasets.array_dataset import ArrayDataset
from ff_mm.datasets.case import Case
from ff_mm.datasets.errors import DatasetError, Problems, check_choice
from ff_mm.datasets.files.finding import download
from ff_mm.datasets.files.npz import read_array
from ff_mm.datasets.splits.splitting import SPLITS
from ff_mm.one_line import one_line

#: Where the medmnist package keeps what it downloads.
HOME = '~/.medmnist'
RECORD = 'https://doi.org/10.5281/zenodo.10519652'
SIZES = (28, 64, 128, 224)

ORGANS = (
    'bladder',
    'femur-left',
    'femur-right',
    'heart',
    'kidney-left',
    'kidney-right',
    'liver',
    'lung-left',
    'lung-right',
    'pancreas',
    'spleen',
)


class Collection(NamedTuple):
    """One data set of MedMNIST.

    Attributes:
        counts: Published numbers of images in train, val and test.
        classes: In the order of the numbers in the files.
        multilabel: Whether an image may have several of them.
    """

    counts: tuple[int, int, int]
    classes: tuple[str, ...]
    multilabel: bool = False


#: Name -> data set, with the names of the classes as the medmnist package has them.
COLLECTIONS = {
    'pathmnist': Collection(
        (89996, 10004, 7180),
        (
            'adipose',
            'background',
            'debris',
            'lymphocytes',
            'mucus',
            'smooth muscle',
            'normal colon mucosa',
            'cancer-associated stroma',
            'colorectal adenocarcinoma epithelium',
        ),
    ),
    'chestmnist': Collection(
        (78468, 11219, 22433),
        (
            'atelectasis',
            'cardiomegaly',
            'effusion',
            'infiltration',
            'mass',
            'nodule',
            'pneumonia',
            'pneumothorax',
            'consolidation',
            'edema',
            'emphysema',
            'fibrosis',
            'pleural',
            'hernia',
        ),
        multilabel=True,
    ),
    'dermamnist': Collection(
        (7007, 1003, 2005),
        (
            'actinic keratoses and intraepithelial carcinoma',
            'basal cell carcinoma',
            'benign keratosis-like lesions',
            'dermatofibroma',
            'melanoma',
            'melanocytic nevi',
            'vascular lesions',
        ),
    ),
    'octmnist': Collection(
        (97477, 10832, 1000),
        (
            'choroidal neovascularization',
            'diabetic macular edema',
            'drusen',
            'normal',
        ),
    ),
    'pneumoniamnist': Collection((4708, 524, 624), ('normal', 'pneumonia')),
    'retinamnist': Collection((1080, 120, 400), ('0', '1', '2', '3', '4')),
    'breastmnist': Collection((546, 78, 156), ('malignant', 'normal, benign')),
    'bloodmnist': Collection(
        (11959, 1712, 3421),
        (
            'basophil',
            'eosinophil',
            'erythroblast',
            'immature granulocytes(myelocytes, metamyelocytes and promyelocytes)',
            'lymphocyte',
            'monocyte',
            'neutrophil',
            'platelet',
        ),
    ),
    'tissuemnist': Collection(
        (165466, 23640, 47280),
        (
            'Collecting Duct, Connecting Tubule',
            'Distal Convoluted Tubule',
            'Glomerular endothelial cells',
            'Interstitial endothelial cells',
            'Leukocytes',
            'Podocytes',
            'Proximal Tubule Segments',
            'Thick Ascending Limb',
        ),
    ),
    'organamnist': Collection((34561, 6491, 17778), ORGANS),
    'organcmnist': Collection((12975, 2392, 8216), ORGANS),
    'organsmnist': Collection((13932, 2452, 8827), ORGANS),
}


@DATASETS.register_module()
class MedMNIST(ArrayDataset):
    """One of the twelve 2D data sets of MedMNIST, with its official split.

    ======================  =========================  =====================
    name                    what                       task
    ======================  =========================  =====================
    pathmnist               colon pathology            9 classes
    chestmnist              chest X-ray                14 labels
    dermamnist              dermatoscopy               7 classes
    octmnist                retinal OCT                4 classes
    pneumoniamnist          chest X-ray of children    2 classes
    retinamnist             fundus photographs         5 grades
    breastmnist             breast ultrasound          2 classes
    bloodmnist              blood cell microscopy      8 classes
    tissuemnist             kidney cortex microscopy   8 classes
    organ{a,c,s}mnist       abdominal CT, axial,       11 classes
                            coronal and sagittal
    ======================  =========================  =====================

    Read is the npz file as downloaded, such as ``dermamnist.npz`` for 28 x 28 pixels
    and ``dermamnist_224.npz`` for 224 x 224, from ``data_root``, else from
    ``~/.medmnist``, where the medmnist package leaves it. Arrays of more than 512 MB
    (from 64 pixels on, in some data sets) are unpacked once, beside the npz file or in
    ``cache_dir``, and mapped from there, so that they need not fit into memory.

    ``img`` is BGR, uint8 (size, size, 3); grey images have three equal channels. The
    labels of chestmnist are ``gt_score``, all known; those of the others ``gt_label``.
    The image ids are such as ``dermamnist_train_00012``, in the order of the file;
    lists may leave out the name. No patients are known, so there are no groups:
    dermamnist is made of HAM10000 and is known to have images of one lesion on both
    sides of its split (Abhishek et al.), which :class:`HAM10000` avoids.

    ``dict(type='MedMNIST', name='dermamnist', size=64, data_root='data/medmnist')``

    Args:
        name: Of the data set, as above.
        size: 28, 64, 128 or 224 pixels, as in the name of the file.
        file: An npz file of another name, relative to ``data_root`` or absolute; then
            ``size`` has no effect.
        data_root: The folder with the file.
        cache_dir: The folder for unpacked arrays, where that of the file cannot be
            written to.
        download: Whether to download what is missing into ``data_root``, from where
            the medmnist package says, and with its MD5.
        **kwargs: Those of :class:`ArrayDataset` and :class:`SplitDataset`.

    References:
        J. Yang et al., "MedMNIST v2 - A large-scale lightweight benchmark for 2D and 3D
        biomedical image classification", Scientific Data 10, 41 (2023), doi
        10.1038/s41597-022-01721-8.
        K. Abhishek, A. Jain, G. Hamarneh, "Investigating the Quality of DermaMNIST and
        Fitzpatrick17k Dermatological Image Datasets", Scientific Data 12, 196 (2025),
        doi 10.1038/s41597-025-04382-5.
    """

    def __init__(
        self,
        name: str,
        size: int = 28,
        file: str | None = None,
        data_root: str = HOME,
        cache_dir: str | None = None,
        download: bool = False,
        **kwargs: Any,
    ) -> None:
        check_choice('name', name, COLLECTIONS)
        check_choice('size', size, SIZES)
        self.name = name
        self.collection = COLLECTIONS[name]
        self.size = size
        self.file = file
        self.cache_dir = os.path.expanduser(cache_dir) if cache_dir else None
        self.download = download
        if kwargs.get('classes') is None:
            kwargs['classes'] = self.collection.classes
        super().__init__(data_root=data_root, **kwargs)

    @property
    def file_classes(self) -> tuple[str, ...]:
        """Names of the classes in the order in which the files number them."""
        return self.collection.classes

    def read_cases(self, problems: Problems) -> list[Case]:
        """Reads the labels of the splits that are asked for, and opens their images."""
        self.path = self._find()
        cases = []
        for split in self.needed_splits:
            labels = self._read_labels(split)
            cases += self.make_cases(f'{self.name}_{split}', labels, split)
        return cases

    def read_images(self, array: str) -> np.ndarray:
        """Reads the images of a split, from memory or mapped."""
        split = array.removeprefix(f'{self.name}_')
        return read_array(self.path, f'{split}_images', self.cache_dir)

    def image_key(self, name: str) -> str:
        """Takes ``train_00012`` for ``dermamnist_train_00012``."""
        key = super().image_key(name)
        return key if key.startswith(f'{self.name}_') else f'{self.name}_{key}'

    def extra_repr(self) -> list[str]:
        """Says which images these are, for ``repr``."""
        name = self.file or f'{self.name}, {self.size} pixels'
        return [*super().extra_repr(), f'Name: \t{name}']

    def _read_labels(self, split: str) -> np.ndarray:
        labels = read_array(self.path, f'{split}_labels', self.cache_dir)
        if not self.collection.multilabel and labels.shape[1:] == (1,):
            labels = labels[:, 0]
        expected = (len(self.file_classes),) if self.collection.multilabel else ()
        if labels.shape[1:] != expected:
            raise DatasetError(
                f'{self.path!r}: {split}_labels are {labels.dtype} of shape '
                f'{labels.shape}, not (number, {(expected or (1,))[0]}). Take the file '
                'as it was downloaded.'
            )
        published = self.collection.counts[SPLITS.index(split)]
        if len(labels) != published:
            warnings.warn(
                f'{one_line(self.path)}: {len(labels)} images in {split}, published '
                f'are {published}: results cannot be compared with those of others.',
                stacklevel=2,
            )
        return labels

    def _find(self) -> str:
        """Gives the npz file; downloads it if that is wanted and it is absent."""
        suffix = '' if self.size == 28 else f'_{self.size}'
        name = self.file or f'{self.name}{suffix}.npz'
        own = os.path.join(self.data_root, os.path.expanduser(name))
        shared = os.path.join(os.path.expanduser(HOME), name)
        for path in (own,) if self.file else (own, shared):
            if os.path.isfile(path):
                return path
        if self.file:
            raise DatasetError(f'There is no {own!r}. Check file and data_root.')
        if not self.download:
            raise DatasetError(
                f'There is no {own!r}. Get {name} from {RECORD} and put it there, or '
                'set download=True, which needs the package medmnist.'
            )
        _download(self.name, suffix, self.data_root)
        return own


def _download(name: str, suffix: str, folder: str) -> None:
    try:
        from medmnist.info import INFO

        url, md5 = INFO[name][f'url{suffix}'], INFO[name][f'MD5{suffix}']
    # Versions before 3 know the smallest size only.
    except (ImportError, KeyError):
        raise DatasetError(
            'download=True needs the package medmnist, 3 or later, which knows the '
            'addresses: pip install -U medmnist'
        ) from None
    # Not by medmnist itself: a download that was broken off would stay there.
    download(url, folder, f'{name}{suffix}.npz', md5, RECORD)
