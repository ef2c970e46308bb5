# The learned soup (Wortsman et al. 2022, appendix I): how much of each ingredient goes
# in is learned by the loss on validation, by steps of AdamW from equal shares on. With
# by='tensor' each tensor has shares of its own, which takes folds of validation.
_base_ = '../evaluation.py'

runner_type = 'LearnedSoupRunner'
soup = dict(steps=100, lr=0.05, by='ingredient')
