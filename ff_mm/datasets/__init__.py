"""Data sets as they are downloaded, and checks of them before any training."""

from __future__ import annotations

from ff_mm.datasets.aptos2019 import APTOS2019
from ff_mm.datasets.case import Case
from ff_mm.datasets.checks.check import check_datasets, describe, fingerprint
from ff_mm.datasets.chexpert import CheXpert
from ff_mm.datasets.cifar import CIFAR10_1, SplitCIFAR10, SplitCIFAR100
from ff_mm.datasets.class_balanced_sampler import ClassBalancedSampler
from ff_mm.datasets.digits import Digits
from ff_mm.datasets.errors import DatasetError
from ff_mm.datasets.eyepacs import EyePACS
from ff_mm.datasets.files.dicom import LoadDICOM
from ff_mm.datasets.folders import FolderDataset
from ff_mm.datasets.folds import FoldDataset
from ff_mm.datasets.ham10000 import HAM10000
from ff_mm.datasets.image_cache.transforms import LoadCachedImage, ShrinkImage
from ff_mm.datasets.isic2019 import ISIC2019
from ff_mm.datasets.masks.loading import LoadMask
from ff_mm.datasets.masks.mask_folders import MaskDataset
from ff_mm.datasets.masks.mask_table import MaskTableDataset
from ff_mm.datasets.medmnist import MedMNIST
from ff_mm.datasets.messidor import Messidor, Messidor2
from ff_mm.datasets.mimic_cxr import MIMICCXR
from ff_mm.datasets.rsna_pneumonia import RSNAPneumonia
from ff_mm.datasets.split_dataset import SplitDataset
from ff_mm.datasets.table import TableDataset
from ff_mm.datasets.unlabelled import PartlyLabelled, UnlabelledFolder

__all__ = [
    'APTOS2019',
    'CIFAR10_1',
    'HAM10000',
    'ISIC2019',
    'MIMICCXR',
    'Case',
    'CheXpert',
    'ClassBalancedSampler',
    'DatasetError',
    'Digits',
    'EyePACS',
    'FoldDataset',
    'FolderDataset',
    'LoadCachedImage',
    'LoadDICOM',
    'LoadMask',
    'MaskDataset',
    'MaskTableDataset',
    'MedMNIST',
    'Messidor',
    'Messidor2',
    'PartlyLabelled',
    'RSNAPneumonia',
    'ShrinkImage',
    'SplitCIFAR10',
    'SplitCIFAR100',
    'SplitDataset',
    'TableDataset',
    'UnlabelledFolder',
    'check_datasets',
    'describe',
    'fingerprint',
]
