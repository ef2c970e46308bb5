"""Names of what CheXpert and MIMIC-CXR-JPG say of chest X-rays."""

from __future__ import annotations

#: In the order of CheXpert's tables.
FINDINGS = (
    'No Finding',
    'Enlarged Cardiomediastinum',
    'Cardiomegaly',
    'Lung Opacity',
    'Lung Lesion',
    'Edema',
    'Consolidation',
    'Pneumonia',
    'Atelectasis',
    'Pneumothorax',
    'Pleural Effusion',
    'Pleural Other',
    'Fracture',
    'Support Devices',
)
