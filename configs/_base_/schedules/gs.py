# Grid search as published (FissionFusion, section 4.1): 8 learning rates x 3
# augmentations x 2 seeds, 48 models.
_base_ = './fine_tuning.py'

plan = dict(
    type='GridSearchPlan',
    # The probe takes the first of each, which are those of fission.
    seeds=[0, 1],
    augmentations=['heavy', 'medium', 'minimal'],
)
