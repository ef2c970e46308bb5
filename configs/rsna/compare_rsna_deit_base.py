_base_ = [
    '../_base_/models/deit_base.py',
    '../_base_/datasets/rsna.py',
    '../_base_/comparisons/paper.py',
    '../_base_/default_runtime.py',
]

pools = dict(
    gs='work_dirs/gs_rsna_deit_base/ingredients.json',
    fgg='work_dirs/fgg_rsna_deit_base/ingredients.json',
)
published = dict(backbone='DeiT-B', dataset='RSNA')
