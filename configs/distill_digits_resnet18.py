# After the quickstart, gog_digits_resnet18.py: what its pool says together, distilled
# into one network that starts from the soup.
_base_ = [
    './_base_/models/resnet18.py',
    './_base_/datasets/digits.py',
    './_base_/schedules/distill.py',
    './_base_/default_runtime.py',
]

plan = dict(
    pool='work_dirs/fgg_digits_resnet18/ingredients.json',
    start='work_dirs/gog_digits_resnet18/soup.pth',
)
