# An ensemble in one file: predictions are averaged, not weights. At inference it takes
# as many passes, and as much memory, as it has members. members="selection": those that
# ensemble selection takes on validation (rounds, sorted_start as there); of soups:
#     levels=[dict(soup="uniform", group_by="lr")]
_base_ = '../evaluation.py'

runner_type = 'EnsembleRunner'
soup = dict(members='all', average='probabilities')
