# Best of uniform, with groups by connectivity; see gou_basin.py.
_base_ = './gou_basin.py'

runner_type = 'BoUSoupRunner'
