_base_ = ['./data.py', '../grid_search.py']
