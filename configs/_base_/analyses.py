# Analyses of the pool of any fusion config, tools/analysis_tools/*.py; figures and
# numbers go to <work_dir>/<name of the key>/.
lmc = dict()
loss_surface = dict()
trajectory = dict()
soup_tree = dict()
